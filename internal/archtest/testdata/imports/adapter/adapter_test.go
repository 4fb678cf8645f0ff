package adapter_test

import (
	_ "example.test/planted/adapter"
	_ "example.test/planted/internal/broker"
)
