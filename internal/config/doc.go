// Package config owns the settings: one struct whose tags are the reference (name, default,
// unit, meaning), loaded from a YAML file and the environment, checked as a whole, and
// printed as the documentation that it is.
//
//	defaults ◄── barong.yaml (BARONG_SETTINGS) ◄── BARONG_<KEY> or, for secrets, BARONG_<KEY>_FILE
//	                    │
//	                    └──► Load: every problem at once, each naming its key
//
// It knows no other package of ours: cmd/barong hands each package the part it needs.
package config
