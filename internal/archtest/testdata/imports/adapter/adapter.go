package adapter

import (
	_ "example.test/planted/internal/broker"
	_ "example.test/planted/vocab"
	_ "github.com/getsentry/sentry-go"
)
