package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"barong/internal/account"
)

// The secret of a seeded API key may stand in a file or in a variable of the environment; it is shown nowhere, and a
// place without one ends the run before anything is made.
func TestSecretsOfSeededKeys(t *testing.T) {
	dir := t.TempDir()
	secrets := map[string]string{
		"bot-of-file": strings.Repeat("f", 32), "bot-of-environment": strings.Repeat("e", 32), "bot-of-the-seeds": strings.Repeat("s", 32),
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	seeds := func(where string) string {
		return write("seeds.yml", goodSeeds+"  - { role: service_account, verb: all, path: api/v2/peatio, action: accept }\napi_keys:\n"+where)
	}
	key := func(kid, where string) string {
		return fmt.Sprintf("  - { kid: %s, %s, service_account: SI0000000001, email: bot@barong.example, role: service_account, scope: read }\n", kid, where)
	}
	t.Setenv("BOT_SECRET", " "+secrets["bot-of-environment"]+"\n")
	t.Setenv("NO_SECRET", " ")
	c := newConsole(t)
	run := func(where string) result {
		c.env = append(c.env[:2:2], "BARONG_SEEDS="+seeds(where))
		return c.run("", "seed")
	}
	for name, bad := range map[string]struct{ where, says string }{
		"an empty variable":           {"secret_env: NO_SECRET", "its secret is empty in $NO_SECRET"},
		"a variable that is not set":  {"secret_env: NOT_SET_ANYWHERE", "its secret is empty in $NOT_SET_ANYWHERE"},
		"an empty file":               {"secret_file: " + write("empty", "\n"), "its secret is empty in " + filepath.Join(dir, "empty")},
		"a file that is not there":    {"secret_file: " + filepath.Join(dir, "none"), "secret_file of api key bot-0001"},
		"a secret that is too short":  {"secret_file: " + write("short", "hunter2"), "Can't create api key 'bot-0001'"},
		"a secret with blanks inside": {"secret_file: " + write("blank", strings.Repeat("a b ", 10)), "Can't create api key 'bot-0001'"},
	} {
		r := run(key("bot-0001", bad.where))
		if !strings.Contains(r.err, bad.says) || strings.Contains(r.out, "created\n") || strings.Contains(r.out+r.err, "hunter2") {
			t.Errorf("%s: status %d\n%s%s", name, r.status, r.out, r.err)
		}
	}
	r := run(key("bot-of-file", "secret_file: "+write("secret", secrets["bot-of-file"]+"\n"))+
		key("bot-of-environment", "secret_env: BOT_SECRET")+key("bot-of-the-seeds", "secret: "+secrets["bot-of-the-seeds"])).want(t, 0)
	for kid, secret := range secrets {
		if !strings.Contains(r.out, "api key "+kid+" of SI0000000001 created\n") || strings.Contains(r.out+r.err, secret) {
			t.Errorf("%s: printed\n%s%s", kid, r.out, r.err)
		}
	}
	db := openStore(t, c.dir)
	defer db.Close()
	for kid, secret := range secrets {
		record, err := db.KeyRecord(t.Context(), kid)
		if err != nil || string(record.Secret) != secret || record.HolderKind != account.KindServiceAccount {
			t.Errorf("%s: %v, the secret is the one of the file: %v", kid, err, string(record.Secret) == secret)
		}
	}
}
