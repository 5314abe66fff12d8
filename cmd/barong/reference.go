package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type configCommandsCmd struct{}

// Run prints the reference of the command tree.
func (configCommandsCmd) Run(term *terminal) error {
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		return err
	}
	fmt.Fprint(term.out, `# Commands

Made from the program by `+"`make generate`"+`. Settings come from `+"`BARONG_*`"+` variables and the file that `+"`BARONG_SETTINGS`"+` names
([configuration.md](configuration.md)). Exit status: 0 done, 1 failed, 2 wrong usage or configuration.

`)
	leaves := parser.Model.Leaves(true)
	for _, leaf := range leaves {
		fmt.Fprintf(term.out, "- [`%s`](#barong-%s): %s\n", commandOf(leaf), strings.ReplaceAll(commandOf(leaf), " ", "-"), leaf.Help)
	}
	for _, leaf := range leaves {
		referenceOf(term.out, leaf)
	}
	return nil
}

// referenceOf is the section of one command.
func referenceOf(w io.Writer, leaf *kong.Node) {
	words := commandOf(leaf)
	fmt.Fprintf(w, "\n## barong %s\n\n%s\n\n```\nbarong %s", words, leaf.Help, words)
	for _, p := range leaf.Positional {
		if p.Required {
			fmt.Fprintf(w, " %s", strings.ToUpper(p.Name))
		} else {
			fmt.Fprintf(w, " [%s]", strings.ToUpper(p.Name))
		}
	}
	flags := leaf.Flags
	if len(flags) > 0 {
		fmt.Fprint(w, " [flags]")
	}
	fmt.Fprint(w, "\n```\n")
	if _, ok := leaf.Target.Addr().Interface().(operation); ok {
		fmt.Fprint(w, "\nWorks on the database, beside a running service too.\n")
	}
	if len(leaf.Positional)+len(flags) == 0 {
		return
	}
	fmt.Fprint(w, "\n| argument | default | meaning |\n|---|---|---|\n")
	row := func(name string, v *kong.Value) {
		help := strings.ReplaceAll(v.Help, "|", "\\|")
		if v.Enum != "" && !strings.Contains(v.Help, strings.Split(v.Enum, ",")[0]) {
			help += " One of " + strings.Join(strings.Split(v.Enum, ","), ", ") + "."
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", name, v.Default, help)
	}
	for _, p := range leaf.Positional {
		row(strings.ToUpper(p.Name), p)
	}
	for _, f := range flags {
		name := "--" + f.Name
		if !f.IsBool() {
			name += "=" + f.FormatPlaceHolder()
		}
		row(name, f.Value)
	}
}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script that completes commands and flags; it is whole, so that no completion starts
// this program.
func (c completionCmd) Run(term *terminal) error {
	var all cli
	parser, err := newParser(&all)
	if err != nil {
		return err
	}
	words := map[string][]string{} // by the command so far
	var names []string
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		names = append(names, path)
		for _, child := range n.Children {
			words[path] = append(words[path], child.Name)
			walk(child, strings.TrimSpace(path+" "+child.Name))
		}
		for _, f := range n.Flags {
			words[path] = append(words[path], "--"+f.Name)
		}
	}
	walk(parser.Model.Node, "")
	if c.Shell == "fish" {
		for _, name := range names {
			fmt.Fprintf(term.out, "complete -c barong -f -n \"test (string join ' ' (string match -v -- '-*' (commandline -opc)[2..])) = '%s'\" -a '%s'\n",
				name, strings.Join(words[name], " "))
		}
		return nil
	}
	if c.Shell == "zsh" {
		fmt.Fprintln(term.out, "autoload -U +X bashcompinit && bashcompinit")
	}
	fmt.Fprint(term.out, `_barong() {
  local word path=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) break ;; *) path="${path:+$path }$word" ;; esac
  done
  case "$path" in
`)
	for _, name := range names {
		fmt.Fprintf(term.out, "  %q) word=%q ;;\n", name, strings.Join(words[name], " "))
	}
	fmt.Fprint(term.out, `  *) word="" ;;
  esac
  COMPREPLY=($(compgen -W "$word" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _barong barong
`)
	return nil
}
