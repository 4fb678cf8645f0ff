// Command mutation shows which conditions of a package no test needs: it makes them wrong one at a time and runs the
// package's tests that come by.
//
//	go run ./test/mutation ./internal/authn
//	go run ./test/mutation ./internal/authn lockout.go
//
// A mutant that no test notices is printed. It is a test that is missing; a check that is not needed, which goes; a check
// that stays for depth, beside which a comment says so; or a change that makes no difference. Mutants of what no test runs
// are among them. It takes minutes, and is for whoever writes a check, not for every build.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
)

func main() {
	workers := flag.Int("workers", 1, "how many mutants are tested at once")
	list := flag.Bool("list", false, "list the mutants and test none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Args(), *workers, *list); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, workers int, list bool) error {
	if len(args) == 0 {
		return fmt.Errorf("which package? For example: go run ./test/mutation ./internal/acl")
	}
	dir, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // only tidiness
	b, err := build(ctx, dir, args[0], args[1:])
	if err != nil {
		return err
	}
	if list {
		for i := range b.mutants {
			fmt.Println(&b.mutants[i])
		}
		return nil
	}
	if err := b.trace(ctx); err != nil {
		return err
	}
	survivors, err := b.survivors(ctx, max(workers, 1))
	if err != nil {
		return err
	}
	slices.SortFunc(survivors, func(a, b *Mutant) int { return a.ID - b.ID })
	for _, m := range survivors {
		fmt.Printf("%v (tests that come by: %d)\n", m, len(b.reached[m.ID]))
	}
	fmt.Printf("%d mutants, %d noticed, %d not\n", len(b.mutants), len(b.mutants)-len(survivors), len(survivors))
	return nil
}
