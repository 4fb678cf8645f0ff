package mosquittoconf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnread: whatever is not read of a configuration is said, so that nobody takes the rest for the whole.
func TestUnread(t *testing.T) {
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		make func(dir string) // m.conf and beside it
		want string           // of the problem; "": none
	}{
		"whole":           {func(dir string) { write(dir+"/m.conf", "include_dir d\n"); write(dir+"/d/a.conf", "user x\n") }, ""},
		"absolute folder": {func(dir string) { write(dir+"/m.conf", "include_dir "+dir+"/d\n"); write(dir+"/d/a.conf", "user x\n") }, ""},
		"no folder":       {func(dir string) { write(dir+"/m.conf", "include_dir d\n") }, "m.conf:1"},
		"a folder in it":  {func(dir string) { write(dir+"/m.conf", "include_dir d\n"); write(dir+"/d/a.conf/x", "") }, "not a regular file"},
		"a long file": {func(dir string) {
			write(dir+"/m.conf", "include_dir d\n")
			write(dir+"/d/a.conf", strings.Repeat("#\n", maxFile/2)+"#")
		}, "more than"},
		"a file of the greatest length": {func(dir string) {
			write(dir+"/m.conf", "include_dir d\n")
			write(dir+"/d/a.conf", strings.Repeat("#\n", maxFile/2))
		}, ""},
		"a long line": {func(dir string) { write(dir+"/m.conf", "user x\n"+strings.Repeat("x", maxLine)+"\nacl_file a\n") }, "m.conf:2"},
		"many directives": {func(dir string) {
			write(dir+"/m.conf", strings.Repeat("user x\n", maxDirectives+1))
		}, fmt.Sprintf("m.conf:%d: more than", maxDirectives+1)},
		"as many as there may be": {func(dir string) { write(dir+"/m.conf", strings.Repeat("user x\n", maxDirectives)) }, ""},
		"many files": {func(dir string) {
			write(dir+"/m.conf", "include_dir d\n")
			for i := range maxFiles + 1 {
				write(fmt.Sprintf("%s/d/%d.conf", dir, i), "")
			}
		}, "more than"},
		"as many files as there may be": {func(dir string) {
			write(dir+"/m.conf", "include_dir d\n")
			for i := range maxFiles {
				write(fmt.Sprintf("%s/d/%d.conf", dir, i), "")
			}
		}, ""},
	} {
		dir := t.TempDir()
		c.make(dir)
		conf, err := Load(filepath.Join(dir, "m.conf"))
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" && len(conf.Problems) > 0 || c.want != "" && (len(conf.Problems) != 1 || !conf.Problems[0].Unread || !strings.Contains(conf.Problems[0].Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, conf.Problems, c.want)
		}
		if c.want == "" && conf.Global.Get("user") == nil && strings.HasPrefix(name, "whole") {
			t.Errorf("%s: the include was not read", name)
		}
	}
	if c := Parse("m.conf", []byte("include_dir d\n")); len(c.Problems) != 1 || !c.Problems[0].Unread {
		t.Errorf("not followed: %v", c.Problems)
	}
	for _, text := range []string{"certfile a\x10b\n", "acl_file a\tb\n", "acl_\x7ffile a\n"} {
		if c := Parse("m.conf", []byte(text+"port 1\n")); len(c.Problems) != 1 || !c.Problems[0].Unread || len(c.Directives) != 1 {
			t.Errorf("%q: %+v", text, c)
		}
	}
	if c := Parse("m.conf", []byte("port 1\t\r\n")); len(c.Problems) != 0 {
		t.Errorf("blanks at the end: %v", c.Problems)
	}
	if c := Parse("m.conf", []byte("topic # both\n")); len(c.Problems) != 1 || c.Problems[0].Unread || c.Problems[0].Error() != "m.conf:1: topic belongs to a bridge, and no connection was begun" {
		t.Errorf("of no bridge: %v", c.Problems)
	}
	whole := Problem{File: "m.conf", Err: os.ErrNotExist}
	if whole.Error() != "m.conf: file does not exist" {
		t.Error(whole.Error())
	}
}
