package acl

import (
	"fmt"
	"strings"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/topic"
)

// template is a Topic Filter with places for what is known about a client.
type template struct {
	text  string // as written
	parts []part
}

// part is a literal text or the name of a field.
type part struct {
	text  string
	field string // "" for a literal
}

// The fields. Those in braces are attributes of a certificate's subject, and have a value when the listener takes the
// whole subject as identity.
var fields = []string{"%u", "%c", "%i", "%{cn}", "%{ou}", "%{o}"}

// parseTemplate reads a filter in which %u stands for the principal's name, %c for the Client Identifier, %i for the
// issuer of the principal, %{cn}, %{ou} and %{o} for a part of a certificate's subject, and %% for a percent sign.
func parseTemplate(s string) (template, error) {
	t := template{text: s}
	literal := func(text string) {
		if n := len(t.parts); n > 0 && t.parts[n-1].field == "" {
			t.parts[n-1].text += text
			return
		}
		t.parts = append(t.parts, part{text: text})
	}
scan:
	for rest := s; rest != ""; {
		i := strings.IndexByte(rest, '%')
		if i != 0 {
			if i < 0 {
				i = len(rest)
			}
			literal(rest[:i])
			rest = rest[i:]
			continue
		}
		if strings.HasPrefix(rest, "%%") {
			literal("%")
			rest = rest[2:]
			continue
		}
		for _, f := range fields {
			if strings.HasPrefix(rest, f) {
				t.parts = append(t.parts, part{field: f})
				rest = rest[len(f):]
				continue scan
			}
		}
		return template{}, fmt.Errorf("%q is not a field (%s); a percent sign is written %%%%", rest[:min(len(rest), 4)], strings.Join(fields, ", "))
	}
	if _, err := topic.ParseFilter(t.join(func(string) string { return "x" })); err != nil {
		return template{}, err
	}
	return t, nil
}

// escape writes a literal filter as a template.
func escape(f topic.Filter) string { return strings.ReplaceAll(string(f), "%", "%%") }

func (t *template) join(value func(field string) string) string {
	if len(t.parts) == 1 && t.parts[0].field == "" {
		return t.parts[0].text
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.field != "" {
			b.WriteString(value(p.field))
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// variable reports whether the filter depends on the client.
func (t *template) variable() bool {
	for _, p := range t.parts {
		if p.field != "" {
			return true
		}
	}
	return false
}

// fill puts the client's values in, literally. bad is a field whose value is empty, has a character with a meaning in
// filters, or would make the filter begin with $; "" without one. Such a client has no place of its own in the topic tree,
// and taking its value anyway would give it somebody else's.
func (t *template) fill(p *identity.Principal, clientID string) (f topic.Filter, bad string) {
	if !t.variable() {
		return topic.Filter(t.join(nil)), ""
	}
	text := t.join(func(field string) string {
		v := valueOf(field, p, clientID)
		if v == "" || strings.ContainsAny(v, "+#/\x00") || v[0] == '$' && t.parts[0].field == field {
			bad = field
		}
		return v
	})
	return topic.Filter(text), bad
}

// widen is the filter of a rule whose fields have no usable value: every level with a field becomes +. A rule that denies
// something to a client must not lose its force because of what the client calls itself.
func (t *template) widen() topic.Filter {
	const mark = "\x00" // not part of any filter
	levels := strings.Split(t.join(func(string) string { return mark }), "/")
	for i, l := range levels {
		if strings.Contains(l, mark) {
			levels[i] = "+"
		}
	}
	return topic.Filter(strings.Join(levels, "/"))
}

// levels returns the text of each level as written, for explanations.
func (t *template) levels() []string { return strings.Split(t.text, "/") }

// valueOf is what a field stands for; "" when there is nothing.
func valueOf(field string, p *identity.Principal, clientID string) string {
	switch field {
	case "%u":
		if p.IsAnonymous() {
			return ""
		}
		return p.Name
	case "%c":
		return clientID
	case "%i":
		return p.Issuer
	}
	if p.Method != "certificate" {
		return ""
	}
	return attribute(p.Name, strings.TrimSuffix(strings.TrimPrefix(field, "%{"), "}"))
}

// attribute finds a value in a distinguished name as RFC 4514 §2 writes it, where a separator inside a value is escaped.
// It is "" for a name that is not of that form, for a value in hexadecimal, and for an attribute that comes twice, because
// nothing says which of them is meant.
func attribute(dn, key string) string {
	found := ""
	for dn != "" {
		name, rest, ok := strings.Cut(dn, "=")
		if !ok || strings.ContainsAny(name, `\,+`) {
			return ""
		}
		var value strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != ',' && rest[i] != '+'; i++ {
			if rest[i] == '\\' {
				if i++; i == len(rest) || strings.IndexByte("0123456789abcdefABCDEF", rest[i]) >= 0 {
					return ""
				}
			}
			value.WriteByte(rest[i])
		}
		if strings.EqualFold(strings.TrimSpace(name), key) {
			if found != "" || strings.HasPrefix(rest, "#") {
				return ""
			}
			found = value.String()
		}
		if i == len(rest) {
			return found
		}
		dn = rest[i+1:]
	}
	return ""
}
