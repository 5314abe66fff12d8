package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Seeds are rows of a seeds file beyond the built-in ones, in the file's own words: section
// (users, levels, permissions, restrictions) → rows.
type Seeds map[string][]map[string]any

// Write puts the built-in seeds of the barong binary bin and then s into path.
func (s Seeds) Write(ctx context.Context, bin, path string) error {
	cmd := exec.CommandContext(ctx, bin, "config", "defaults", "seeds")
	var errs strings.Builder
	cmd.Stderr = &errs
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("print the built-in seeds: %w: %s", err, errs.String())
	}
	all := Seeds{}
	if err := yaml.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("read the built-in seeds: %w", err)
	}
	for section, rows := range s {
		all[section] = append(all[section], rows...)
	}
	if text, err = yaml.Marshal(all); err != nil {
		return fmt.Errorf("write seeds: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write seeds: %w", err)
	}
	return nil
}
