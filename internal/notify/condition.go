package notify

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// text reads an expression that is written as a text:
//
//	any   = all { "||" all }
//	all   = one { "&&" one }
//	one   = "(" any ")" | path ( "==" value | "!=" value | "in" "[" value { "," value } "]" )
//	path  = name { "." name }
//	value = 'text' | "text" | number | true | false
//
// It is read once from left to right, and nothing of it is run. Anything else is a problem,
// with its line and column.
func (x *expressions) text(n *yaml.Node) Expression {
	p := condition{x: x, text: n.Value}
	e := p.any(0)
	if p.next(); p.why == "" && p.kind != end {
		p.fail("want && or || or the end, not %s", p.shown())
	}
	if p.why != "" {
		line, column := x.Place(n, p.failed)
		x.Problem(line, "column %d: expression: %s", column, p.why)
		return Expression{}
	}
	return e
}

// The kinds of tokens: end, a word of letters, a value, or a sign that is its own kind.
const (
	end   = ""
	word  = "word"
	value = "value"
)

// A condition is a text being read. After the first fault it reads no further.
type condition struct {
	x    *expressions
	text string
	pos  int // after the token
	back bool

	kind  string // of the token
	token string // a word as it stands, a value as it compares
	at    int    // where the token begins

	why    string // the fault, "" for none so far
	failed int    // where
}

// fail notes the first fault, at the token.
func (p *condition) fail(format string, args ...string) {
	if p.why == "" {
		for _, a := range args {
			format = strings.Replace(format, "%s", a, 1)
		}
		p.why, p.failed = format, p.at
	}
	p.kind, p.pos = end, len(p.text)
}

// shown is the token for people.
func (p *condition) shown() string {
	if p.kind == end {
		return "the end"
	}
	const most = 40
	rest := p.text[p.at:p.pos]
	if len(rest) > most {
		rest = rest[:most] + "…"
	}
	return strconv.Quote(rest)
}

func (p *condition) any(depth int) Expression { return p.chain("or", "||", depth, p.all) }

func (p *condition) all(depth int) Expression { return p.chain("and", "&&", depth, p.one) }

// chain reads parts between signs; one part alone is itself.
func (p *condition) chain(op, sign string, depth int, part func(int) Expression) Expression {
	parts := []Expression{part(depth)}
	for p.next(); p.kind == sign; p.next() {
		parts = append(parts, part(depth))
	}
	p.back = true // the token after is another's
	if len(parts) == 1 {
		return parts[0]
	}
	return Expression{Operator: op, Parts: parts}
}

func (p *condition) one(depth int) Expression {
	p.next()
	switch {
	case p.kind == "(" && depth == maxDepth:
		p.fail("more than " + strconv.Itoa(maxDepth) + " brackets in one another")
		return Expression{}
	case p.kind == "(":
		e := p.any(depth + 1)
		if p.next(); p.kind != ")" {
			p.fail("want && or || or ), not %s", p.shown())
		}
		return e
	case p.kind != word:
		p.fail("want a path such as record.key, or (, not %s", p.shown())
		return Expression{}
	}
	if p.x.parts++; p.x.parts > maxParts {
		p.x.parts = maxParts + 1 // it is reported here
		p.fail("it has more than " + strconv.Itoa(maxParts) + " parts")
		return Expression{}
	}
	e := Expression{Operator: "in", Path: p.token}
	if why := pathProblem(e.Path); why != "" {
		p.fail("%s", why)
		return Expression{}
	}
	p.next()
	switch {
	case p.kind == "==":
		e.Values = []string{p.value()}
	case p.kind == "!=":
		e.Values = []string{p.value()}
		return Expression{Operator: "not", Parts: []Expression{e}}
	case p.kind == word && p.token == "in":
		e.Values = p.list()
	default:
		p.fail("want ==, != or in, not %s", p.shown())
	}
	return e
}

func (p *condition) value() string {
	if p.next(); p.kind != value && !p.truth() {
		p.fail("want a text in quotes, a number, true or false, not %s", p.shown())
	}
	return p.token
}

func (p *condition) truth() bool { return p.kind == word && (p.token == "true" || p.token == "false") }

func (p *condition) list() (values []string) {
	if p.next(); p.kind != "[" {
		p.fail("want [ after in, not %s", p.shown())
	}
	for p.why == "" {
		values = append(values, p.value())
		if p.next(); p.kind == "]" {
			return values
		}
		if p.kind != "," {
			p.fail("want , or ] in the list, not %s", p.shown())
		}
	}
	return nil
}

// next reads a token.
func (p *condition) next() {
	if p.back || p.why != "" {
		p.back = false
		return
	}
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
	p.at, p.kind, p.token = p.pos, end, ""
	if p.pos == len(p.text) {
		return
	}
	for _, sign := range []string{"==", "!=", "&&", "||", "(", ")", "[", "]", ","} {
		if strings.HasPrefix(p.text[p.pos:], sign) {
			p.kind, p.pos = sign, p.pos+len(sign)
			return
		}
	}
	switch c := p.text[p.pos]; {
	case c == '"' || c == '\'':
		p.quoted(c)
	case digit(c) || c == '-':
		p.number()
	case alpha(c):
		p.kind, p.token = word, p.run(func(c byte) bool { return alpha(c) || digit(c) || c == '.' })
	default:
		_, size := utf8.DecodeRuneInString(p.text[p.pos:])
		p.pos += size
		p.fail("%s is nothing that a condition may have", strconv.Quote(p.text[p.at:p.pos]))
	}
}

// run takes all bytes from here that are wanted.
func (p *condition) run(wanted func(byte) bool) string {
	for p.pos < len(p.text) && wanted(p.text[p.pos]) {
		p.pos++
	}
	return p.text[p.at:p.pos]
}

// quoted reads a text; a backslash stands before a quote or a backslash that is meant.
func (p *condition) quoted(quote byte) {
	var b strings.Builder
	for p.pos++; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		if c == quote {
			p.pos++
			p.kind, p.token = value, b.String()
			return
		}
		if c == '\\' {
			if p.pos++; p.pos == len(p.text) || strings.IndexByte(`"'\`, p.text[p.pos]) < 0 {
				p.at = p.pos - 1
				p.fail("a backslash may stand before a quote or another one only")
				return
			}
			c = p.text[p.pos]
		}
		b.WriteByte(c)
	}
	p.fail("the text has no end")
}

// number reads -?digits[.digits].
func (p *condition) number() {
	text := p.run(func(c byte) bool { return digit(c) || alpha(c) || c == '.' || c == '-' })
	whole, fraction, dotted := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	p.kind = value
	if !digits(whole) || dotted && !digits(fraction) {
		p.fail("%s is no number: want digits, and a point between them if any", p.shown())
		return
	}
	p.token = text
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func digit(c byte) bool { return c >= '0' && c <= '9' }

func alpha(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
