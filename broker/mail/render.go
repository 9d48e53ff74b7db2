package mail

import (
	"html"
	"strings"

	"gatehouse/broker"
	"gatehouse/broker/text"
)

// render renders a message as plain text and as simple HTML without remote content.
func (p Mailer) render(l content) broker.Mail {
	t := p.Texts.Printer(l.locale)
	product := clean(p.Site.Name)
	args := text.Args{"product": product}
	for name, v := range l.args {
		args[name] = v
	}
	say := func(part string) string { return t.Text("mail."+l.key+"."+part, args) }
	foot := t.Text("mail.foot", args)
	if p.Site.SupportURL != "" {
		foot = t.Text("mail.foot_support", args, text.Args{"support": p.Site.SupportURL})
	}
	blocks := []string{say("greeting"), say("body"), say("advice")}
	return broker.Mail{To: l.to, Subject: say("subject"),
		Text: plain(l.code, blocks, foot), HTML: rich(t, say("subject"), product, l.code, blocks, foot)}
}

func plain(code string, blocks []string, foot string) string {
	var b strings.Builder
	for i, block := range blocks {
		b.WriteString(block + "\n\n")
		if i == 0 && code != "" {
			b.WriteString(code + "\n\n")
		}
	}
	b.WriteString("-- \n" + foot + "\n")
	return b.String()
}

// The styles are inline because mail programs drop all others.
const (
	styleBody = "margin:0;padding:24px 16px;background:#f5f6f8;color:#16191f;font:16px/1.5 " +
		"system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif"
	styleCard = "max-width:480px;margin:0 auto;padding:24px;background:#ffffff;border:1px solid #d9dde4;border-radius:10px"
	styleCode = "margin:16px 0;padding:12px 16px;background:#f5f6f8;border-radius:8px;font:600 28px/1.3 " +
		"ui-monospace,Consolas,monospace;letter-spacing:4px"
	styleFoot = "max-width:480px;margin:16px auto 0;color:#565e6c;font-size:14px"
)

func rich(t text.Printer, subject, product, code string, blocks []string, foot string) string {
	e := html.EscapeString
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="` + e(t.Lang()) + `" dir="` + e(t.Dir()) +
		`"><head><meta charset="utf-8"><title>` + e(subject) + `</title></head>`)
	b.WriteString(`<body style="` + styleBody + `"><div style="` + styleCard +
		`"><p style="margin:0 0 16px;font-weight:600">` + e(product) + `</p>`)
	for i, block := range blocks {
		b.WriteString(`<p style="margin:0 0 16px">` + e(block) + `</p>`)
		if i == 0 && code != "" {
			b.WriteString(`<p dir="ltr" style="` + styleCode + `">` + e(code) + `</p>`)
		}
	}
	b.WriteString(`</div><p style="` + styleFoot + `">` + e(foot) + `</p></body></html>`)
	return b.String()
}
