// Command release checks a built sealmq: that it is static, that its stripped size is within the budget, and that the
// error reporting library which the store links cannot have been switched on.
package main

import (
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// maxBytes is the budget of the stripped binary.
const maxBytes = 32 << 20

// reporting are functions without which sentry-go has no client and no transport. The linker keeps only what something
// calls, so their absence shows that nothing can.
var reporting = []string{
	"github.com/getsentry/sentry-go.Init",
	"github.com/getsentry/sentry-go.NewClient",
	"github.com/getsentry/sentry-go.(*Hub).BindClient",
}

func main() {
	stripped := flag.String("stripped", "", "path of the stripped binary")
	symbols := flag.String("symbols", "", "path of the same binary with symbols")
	flag.Parse()
	if err := errors.Join(static(*stripped), checkSize(*stripped), silent(*symbols, reporting)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// static refuses a binary that asks for a dynamic linker or a shared library.
func static(name string) error {
	f, err := elf.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s: not static: asks for a dynamic linker", name)
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return err
	}
	if len(libraries) > 0 {
		return fmt.Errorf("%s: not static: needs %s", name, strings.Join(libraries, ", "))
	}
	fmt.Printf("%s: static\n", name)
	return nil
}

// checkSize refuses a file above the budget.
func checkSize(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %.1f MiB of %d MiB\n", name, float64(info.Size())/(1<<20), maxBytes>>20)
	if info.Size() > maxBytes {
		return fmt.Errorf("%s: %d bytes, at most %d", name, info.Size(), maxBytes)
	}
	return nil
}

// silent refuses a program whose symbols include one of the forbidden functions, or that has no symbols to look at.
func silent(name string, forbidden []string) error {
	f, err := elf.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	table, err := f.Symbols()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	present := map[string]bool{}
	for _, s := range table {
		present[s.Name] = true
	}
	if !present["main.main"] {
		return fmt.Errorf("%s: has no symbol main.main, so its symbols prove nothing", name)
	}
	for _, s := range forbidden {
		if present[s] {
			return fmt.Errorf("%s: links %s, which can report to another host", name, s)
		}
	}
	fmt.Printf("%s: no error reporting client\n", name)
	return nil
}
