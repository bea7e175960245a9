package main

import (
	"io"
	"strings"
	"text/template"
)

// limit bounds what one template may print.
const limit = 64 << 10

type change struct {
	Image, OldTag, NewTag string
}

type data struct {
	AppName    string
	AppChanges []change
}

var sample = data{"example-app", []change{
	{"foo/bar", "1.0", "1.1"},
	{"é\"x", "", "sha256:abc"},
}}

type rendering struct {
	// Outcome is one of parse, execute, done and much.
	Outcome string `json:"outcome"`
	Text    string `json:"text"`
	Error   string `json:"error"`
}

func render(text string) rendering {
	parsed, err := template.New("the whole").Parse(text)
	if err != nil {
		return rendering{Outcome: "parse", Error: err.Error()}
	}
	var printed bounded
	switch err := parsed.Execute(&printed, sample); {
	case printed.isFull:
		return rendering{Outcome: "much"}
	case err != nil:
		return rendering{Outcome: "execute", Error: err.Error()}
	}
	return rendering{Outcome: "done", Text: strings.ToValidUTF8(printed.text.String(), "\uFFFD")}
}

type bounded struct {
	text   strings.Builder
	isFull bool
}

func (b *bounded) Write(bytes []byte) (int, error) {
	if b.text.Len()+len(bytes) > limit {
		b.isFull = true
		return 0, io.ErrShortWrite
	}
	return b.text.Write(bytes)
}
