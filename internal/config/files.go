package config

import "slices"

// Files lists the files, each once, that a reload reads besides the configuration itself: certificates, keys, revocation
// lists, pre-shared keys, accounts and keyrings, which are folders that change when a key in them does.
func (c *Config) Files() []string {
	var list []string
	for i := range c.Listeners {
		l := &c.Listeners[i]
		list = append(list, l.TLS.Cert, l.TLS.Key, l.ClientCert.CA, l.ClientCert.CRL, l.PSK.File)
	}
	list = append(list, c.ACL.Mosquitto)
	a := &c.Auth
	list = append(list, a.Password.File, a.SCRAM.File, a.JWT.Keys, a.JWT.KeysCA, a.Credential.Keyring, a.Credential.Passphrase,
		c.Keys.Dir, c.Keys.Passphrase)
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	slices.Sort(list)
	return slices.Compact(list)
}
