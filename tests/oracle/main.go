// The oracle says what Go makes of the same input as the program under test.
//
// It reads one JSON document from standard input and writes one to standard output.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

type request struct {
	// Templates are rendered with a sample.
	Templates []string `json:"templates"`
	// Documents are read as YAML.
	Documents []string `json:"documents"`
}

type answer struct {
	Renderings []rendering `json:"renderings"`
	Readings   []reading   `json:"readings"`
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
	told := answer{[]rendering{}, []reading{}}
	for _, text := range asked.Templates {
		told.Renderings = append(told.Renderings, render(text))
	}
	for _, text := range asked.Documents {
		told.Readings = append(told.Readings, read(text))
	}
	return json.NewEncoder(out).Encode(told)
}
