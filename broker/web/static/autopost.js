// Sends the form of a hand-off page; without this its button does.
document.querySelector('form[data-autopost]')?.submit();
