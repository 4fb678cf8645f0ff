// Package guarded has checks of which its tests know some.
package guarded

import "errors"

// Most is the longest name.
const Most = 8

// Check refuses names; its tests know both ends.
func Check(name string) error {
	switch {
	case name == "":
		return errors.New("empty")
	case len(name) > Most:
		return errors.New("too long")
	}
	return nil
}

// May has a second condition that no test needs, and an end that no test looks at.
func May(user string, age int, admin bool) bool {
	if user == "" && !admin {
		return false
	}
	return age >= 18
}

// Never is not tested at all.
func Never(err error) error {
	if err != nil {
		return err
	}
	for i := 0; i < 10; i++ {
		_ = i
	}
	return nil
}
