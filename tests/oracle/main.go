// The oracle says what Go makes of the same input as the program under test.
//
// It reads one JSON document from standard input and writes one to standard output.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"
)

// limit bounds what one template may print.
const limit = 64 << 10

type request struct {
	Templates []string `json:"templates"`
}

type change struct {
	Image, OldTag, NewTag string
}

type data struct {
	AppName    string
	AppChanges []change
}

type rendering struct {
	// Outcome is one of parse, execute, done and much.
	Outcome string `json:"outcome"`
	Text    string `json:"text"`
	Error   string `json:"error"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var asked request
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return err
	}
	sample := data{"example-app", []change{
		{"foo/bar", "1.0", "1.1"},
		{"é\"x", "", "sha256:abc"},
	}}
	renderings := []rendering{}
	for _, text := range asked.Templates {
		renderings = append(renderings, render(text, sample))
	}
	return json.NewEncoder(out).Encode(map[string]any{"renderings": renderings})
}

func render(text string, sample data) rendering {
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
