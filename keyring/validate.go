package keyring

import (
	"bytes"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/sealmq/sealmq/cose"
	"github.com/sealmq/sealmq/topic"
)

// Validate checks every rule a record must obey by itself. A record that
// passes never leads to a decision the message could influence.
func (r *Record) Validate() error {
	for _, check := range []func() error{r.checkKID, r.checkAlgorithms, r.checkKey, r.checkSender, r.checkFlags, r.checkTopics} {
		if err := check(); err != nil {
			return fmt.Errorf("%w: kid %x: %w", ErrRecord, r.KID, err)
		}
	}
	return nil
}

func (r *Record) checkKID() error {
	if len(r.KID) < 1 || len(r.KID) > MaxKID {
		return fmt.Errorf("kid of %d bytes", len(r.KID))
	}
	if r.State < StatePreActive || r.State > StateDestroyed {
		return fmt.Errorf("state %d", r.State)
	}
	if r.Use < UseR || r.Use > UseP3 {
		return fmt.Errorf("use %d", r.Use)
	}
	if r.Use.Symmetric() {
		if len(r.KID) < EpochSize {
			return fmt.Errorf("symmetric kid has no room for its epoch of %d bytes", EpochSize)
		}
		return nil
	}
	if len(r.KID) < MinPublicKID {
		return fmt.Errorf("public kid shorter than %d bytes", MinPublicKID)
	}
	if r.Key != nil {
		if tp := r.Key.Thumbprint(); !bytes.HasPrefix(tp[:], r.KID) {
			return fmt.Errorf("public kid is not the start of the thumbprint")
		}
	}
	return nil
}

func (r *Record) checkAlgorithms() error {
	ok := false
	switch r.Use {
	case UseR, UseS:
		ok = r.Alg.IsAEAD() && r.ContentAlg == 0
	case UseMAC, UseP2:
		ok = r.Alg == cose.AlgHMAC256 && r.ContentAlg == 0
	case UseSign, UseP3:
		ok = r.Alg.IsSignature() && r.ContentAlg == 0
	case UseEnc, UseP1:
		ok = (r.Alg == cose.AlgECDHESA128KW && r.ContentAlg == cose.AlgA128GCM) ||
			(r.Alg == cose.AlgECDHESA256KW && r.ContentAlg == cose.AlgA256GCM)
	}
	if !ok {
		return fmt.Errorf("%v with content %v does not fit use %v", r.Alg, r.ContentAlg, r.Use)
	}
	return nil
}

func (r *Record) checkKey() error {
	if r.State == StateDestroyed {
		if r.Key != nil {
			return fmt.Errorf("destroyed but holds a key")
		}
		return nil
	}
	if r.Key == nil {
		return fmt.Errorf("no key")
	}
	if r.Use == UseP2 { // the MAC key is derived, the pre-shared key has its own sizes
		if k := r.Key.SymmetricBytes(); len(k) != 16 && len(k) != 32 {
			return fmt.Errorf("pre-shared key of %d bytes", len(k))
		}
		return nil
	}
	return r.Key.Fits(r.Alg)
}

func (r *Record) checkSender() error {
	s := r.Sender
	if (s.Kind == SenderWire) != (s.Size != 0) || (s.Kind == SenderFixed) != (len(s.ID) != 0) {
		return fmt.Errorf("sender rule %v with size %d and an id of %d bytes", s.Kind, s.Size, len(s.ID))
	}
	if s.Size < 0 || s.Size > MaxSenderID || len(s.ID) > MaxSenderID {
		return fmt.Errorf("sender id above %d bytes", MaxSenderID)
	}
	ok := false
	switch r.Use {
	case UseR, UseMAC:
		ok = s.Kind >= SenderWire && s.Kind <= SenderAnonymous
	case UseS:
		ok = s.Kind >= SenderWire && s.Kind < SenderAnonymous
	case UseSign, UseP3:
		ok = s.Kind == SenderFixed || s.Kind == SenderAnonymous
	case UseEnc:
		ok = s.Kind == SenderClientID || s.Kind == SenderAnonymous
	case UseP1, UseP2: // the Client Identifier stands in the AAD of every credential
		ok = s.Kind == SenderClientID || s.Kind == SenderAnonymous || s.Kind == SenderFixed
	}
	if !ok {
		return fmt.Errorf("sender rule %v does not fit use %v", s.Kind, r.Use)
	}
	return nil
}

func (r *Record) checkFlags() error {
	switch {
	case r.MaxAge < 0 || r.MaxAge > MaxAgeLimit || r.MaxAge%time.Second != 0:
		return fmt.Errorf("max-age %v", r.MaxAge)
	case r.Broker && r.Use != UseSign:
		return fmt.Errorf("only a signer can be marked broker")
	case r.E2E && (r.Sender.Kind == SenderRedistribution || r.Broker):
		return fmt.Errorf("end-to-end key of a broker")
	case r.Pairwise && r.Use != UseR && r.Use != UseS && r.Use != UseMAC:
		return fmt.Errorf("pairwise fits symmetric message keys only")
	case r.Pairwise && (r.Sender.Kind == SenderAnonymous || r.Sender.Kind == SenderRedistribution):
		return fmt.Errorf("pairwise without a known sender")
	case r.Binding && !r.Use.credential():
		return fmt.Errorf("CONNECT binding of a message key")
	case r.Clockless && r.Use != UseS && !r.Use.credential():
		return fmt.Errorf("clockless fits mode S and credentials only")
	case r.Unordered && (r.Use == UseS || r.Use.credential()):
		return fmt.Errorf("unordered does not fit use %v", r.Use)
	case !utf8.ValidString(r.ClientID) || len(r.ClientID) > 65535 || len(r.Group) > 256 || !utf8.ValidString(r.Group):
		return fmt.Errorf("client-id or group is not a short UTF-8 string")
	}
	return nil
}

func (r *Record) checkTopics() error {
	if r.Use.credential() {
		if len(r.Topics) != 0 {
			return fmt.Errorf("topics on a credential key")
		}
		return nil
	}
	if len(r.Topics) == 0 || len(r.Topics) > MaxTopics {
		return fmt.Errorf("%d topic filters", len(r.Topics))
	}
	for _, f := range r.Topics {
		if _, err := topic.ParseFilter(f); err != nil {
			return err
		}
	}
	return nil
}
