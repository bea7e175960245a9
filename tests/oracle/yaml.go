package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// nodes bounds what one text may become once its aliases are followed.
const nodes = 100_000

// A reading is what YAML makes of a text: its documents, or why it has none.
//
// A scalar is {"tag": "!!str", "value": "as written, without quotes"}, with the tag that go-yaml resolves; a
// sequence is a list; a mapping is {"pairs": [[key, value], …]} in order. An alias is what it stands for; an
// empty document is null.
type reading struct {
	Documents []any  `json:"documents"`
	Error     string `json:"error"`
}

func read(text string) reading {
	documents := []any{}
	left := nodes
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return reading{Documents: documents}
		}
		var tree any
		if err == nil {
			tree, err = told(&document, &left)
		}
		if err != nil {
			return reading{Documents: []any{}, Error: err.Error()}
		}
		documents = append(documents, tree)
	}
}

func told(node *yaml.Node, left *int) (any, error) {
	*left--
	if *left < 0 {
		return nil, fmt.Errorf("more than %d nodes", nodes)
	}
	switch node.Kind {
	case yaml.DocumentNode:
		if len(node.Content) == 0 {
			return nil, nil
		}
		return told(node.Content[0], left)
	case yaml.AliasNode:
		return told(node.Alias, left)
	case yaml.ScalarNode:
		return map[string]string{"tag": node.ShortTag(), "value": node.Value}, nil
	}
	parts := []any{}
	for _, part := range node.Content {
		tree, err := told(part, left)
		if err != nil {
			return nil, err
		}
		parts = append(parts, tree)
	}
	if node.Kind == yaml.SequenceNode {
		return parts, nil
	}
	pairs := [][]any{}
	for at := 0; at+1 < len(parts); at += 2 {
		pairs = append(pairs, parts[at:at+2])
	}
	return map[string]any{"pairs": pairs}, nil
}
