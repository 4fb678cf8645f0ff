package tests

import "testing"

var _ testing.TB
