package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// build holds the facts known about this binary.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Time    string `json:"build_date"`
	Go      string `json:"go"`
}

// thisBuild prefers the linker's values to those that the toolchain recorded.
func thisBuild() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			if b.Commit == "" {
				b.Commit = s.Value
			}
		case "vcs.time":
			b.Time = s.Value
		}
	}
	return b
}

func (b build) String() string { return fmt.Sprintf("barong %s %s %s", b.Version, b.Commit, b.Go) }

type versionCmd struct {
	Format string `enum:"text,json" default:"text" help:"text or json."`
}

func (c versionCmd) Run(term *terminal) error {
	b := thisBuild()
	if c.Format == "json" {
		return json.NewEncoder(term.out).Encode(b)
	}
	_, err := fmt.Fprintln(term.out, b)
	return err
}
