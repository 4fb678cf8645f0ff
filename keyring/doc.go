// Package keyring keeps the keys that protect MQTT messages, and says what each
// of them may be used for.
//
// A Record names one key: one kid is one algorithm, one mode, one policy and
// one use. A message must equal the record its kid names; it never selects
// anything. A Ring finds records by kid and nothing is ever tried. A Dir keeps
// a ring in a directory of files only their owner can read, written atomically
// and synced, optionally sealed by a passphrase.
//
// Keys rotate by epochs. The next epoch is made pre-active, distributed in a
// bundle signed by its exporter and sealed to each recipient, then activated,
// which leaves the old epoch for decryption only until it is destroyed. Epoch
// keys are independent random keys: a member left out of the distribution
// cannot open what is sealed under the next epoch.
//
// Secrets are of types that do not print: Secret here, cose.Key below.
package keyring
