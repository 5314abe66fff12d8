package config

import (
	"fmt"
	"strings"
)

// Markdown is the configuration reference, made from the declarations.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Configuration

Every setting is an environment variable, or the same key in lower case in the YAML file that
` + "`BARONG_SETTINGS`" + ` names; the environment wins. Durations are seconds or Go durations (` + "`90`, `5m`, `250ms`" + `),
lists are comma-separated. A setting marked *secret*, and only that, may also be given as
` + "`BARONG_<KEY>_FILE`" + `, the path of a file that holds it. An unknown ` + "`BARONG_*`" + ` variable stops the start and
names its successor, or the nearest known one; the variables that Kubernetes makes for a Service are ignored.

This file is made by ` + "`barong config docs`" + `; ` + "`barong config check`" + ` says everything that is wrong at once.
`)
	group := ""
	for _, f := range settingFields() {
		if f.group != group {
			group = f.group
			fmt.Fprintf(&b, "\n## %s\n\n| variable | default | meaning |\n|---|---|---|\n", group)
		}
		def := "`" + f.def + "`"
		if f.def == "" {
			def = "empty"
		}
		doc := f.doc
		if f.enum != nil {
			doc += " One of `" + strings.Join(f.enum, "`, `") + "`."
		}
		if f.secret {
			doc += " *Secret.*"
		}
		for _, a := range f.aliases {
			doc += " `" + Prefix + strings.ToUpper(a) + "` means the same."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.env(), strings.ReplaceAll(def, ",", ", "), doc)
	}
	b.WriteString(`
## Coming from the service that this replaces

Settings that are in none of the tables above. Given with the prefix, each stops the start with this advice.

| setting there | here |
|---|---|
`)
	for _, r := range replaced {
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.Join(strings.Fields(r.names), "`, `"), r.now)
	}
	b.WriteString("\nSettings of the same name that mean or default to something else:\n\n| setting | here |\n|---|---|\n")
	for _, k := range kept {
		fmt.Fprintf(&b, "| `%s` | %s |\n", k.name, k.now)
	}
	return b.String()
}

// YAML is a settings file that holds every default, commented.
func YAML() string {
	var b strings.Builder
	b.WriteString("# Barong's settings with their defaults. Give its path as BARONG_SETTINGS.\n")
	group := ""
	for _, f := range settingFields() {
		if f.group != group {
			group = f.group
			fmt.Fprintf(&b, "\n# --- %s ---\n", group)
		}
		fmt.Fprintf(&b, "\n# %s\n", f.doc)
		if f.enum != nil {
			fmt.Fprintf(&b, "# One of %s.\n", strings.Join(f.enum, ", "))
		}
		if f.follows != "" {
			fmt.Fprintf(&b, "# Adapts to %s unless it is given here.\n# ", f.follows)
		}
		fmt.Fprintf(&b, "%s: %q\n", f.key, f.def)
	}
	return b.String()
}
