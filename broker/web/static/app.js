// Small comforts. Every page works without them.

// Show or hide a password.
for (const button of document.querySelectorAll('button[data-reveal]')) {
  const input = document.getElementById(button.getAttribute('aria-controls'));
  const show = button.textContent;
  button.hidden = false;
  const turn = (visible) => {
    input.type = visible ? 'text' : 'password';
    button.setAttribute('aria-pressed', String(visible));
    button.textContent = visible ? button.dataset.reveal : show;
  };
  button.addEventListener('click', () => turn(input.type === 'password'));
  // A password manager saves, and a browser remembers, only what is a password again.
  input.form?.addEventListener('submit', () => turn(false));
}

// One submit at a time. The button is not disabled, so that its name and value are sent.
const busy = new Set();
for (const form of document.forms) {
  form.addEventListener('submit', (event) => {
    if (busy.has(form)) {
      event.preventDefault();
      return;
    }
    busy.add(form);
    const button = event.submitter;
    if (!button) return;
    button.setAttribute('aria-disabled', 'true');
    if (button.dataset.busy) {
      button.dataset.idle = button.textContent;
      button.textContent = button.dataset.busy;
    }
  });
}

// A page that comes back from the back/forward cache is ready again.
addEventListener('pageshow', (event) => {
  if (!event.persisted) return;
  busy.clear();
  for (const button of document.querySelectorAll('[aria-disabled]')) {
    button.removeAttribute('aria-disabled');
    if (button.dataset.idle) button.textContent = button.dataset.idle;
  }
});

// Times in the zone and language of the reader. Without scripts they are in UTC and say so.
const shapes = { clock: { timeStyle: 'short' }, date: { dateStyle: 'medium' }, moment: { dateStyle: 'medium', timeStyle: 'long' } };
for (const time of document.querySelectorAll('time[data-shape]')) {
  time.title = time.textContent;
  time.textContent = new Intl.DateTimeFormat(document.documentElement.lang, shapes[time.dataset.shape]).format(new Date(time.dateTime));
}

// Bring the summary of a failed form to the ear, unless a field has the focus.
const summary = document.querySelector('[role=alert][tabindex]');
if (summary && !document.querySelector('[autofocus]')) summary.focus();

// Copy the details of a refusal.
for (const button of document.querySelectorAll('button[data-copy]')) {
  if (!navigator.clipboard) break;
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener('click', async () => {
    const rows = [...document.getElementById(button.dataset.copy).children];
    try {
      await navigator.clipboard.writeText(rows.map((row) => [...row.children].map((cell) => cell.textContent).join(': ')).join('\n'));
    } catch {
      return;
    }
    button.textContent = button.dataset.done;
    const status = button.parentElement.querySelector('[role=status]');
    if (status) status.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, 3000);
  });
}
