package explain

import (
	"strings"
	"testing"

	"github.com/sealmq/sealmq/internal/acl"
	"github.com/sealmq/sealmq/internal/identity"
)

// TestGranted: an answer grants when both the login, if that was asked about, and the access are allowed.
func TestGranted(t *testing.T) {
	yes, no := Explanation{Allowed: true, Layer: AccessLayer, Question: "access"}, Explanation{Layer: AccessLayer, Question: "access"}
	in, out := &Explanation{Allowed: true, Layer: "login", Question: "login"}, &Explanation{Layer: "login", Question: "login"}
	for _, c := range []struct {
		a    Answer
		want bool
	}{{Answer{Explanation: yes, Login: nil}, true}, {Answer{Explanation: no, Login: nil}, false}, {Answer{Explanation: yes, Login: in}, true}, {Answer{Explanation: no, Login: in}, false}, {Answer{Explanation: yes, Login: out}, false}, {Answer{Explanation: no, Login: out}, false}} {
		if c.a.Granted() != c.want {
			t.Errorf("%+v: %v", c.a, !c.want)
		}
		if text := c.a.Text(); strings.Contains(text, "login") != (c.a.Login != nil) || !strings.Contains(text, "access") {
			t.Errorf("%+v: %s", c.a, text)
		}
	}
}

// TestAskAsAPacket: a retained message needs the right to publish and the right to retain; everything else its own.
func TestAskAsAPacket(t *testing.T) {
	p, err := acl.New([]acl.Rule{
		{Who: acl.Selector{Kind: acl.Anyone}, Do: acl.OnRetain, Topic: "retain", Place: identity.Rule{File: "f", Line: 1}},
		{Who: acl.Selector{Kind: acl.Anyone}, Do: acl.OnPublish, Topic: "publish", Place: identity.Rule{File: "f", Line: 2}},
		{Who: acl.Selector{Kind: acl.Anyone}, Do: acl.WordPublish, Topic: "both", Place: identity.Rule{File: "f", Line: 3}},
		{Who: acl.Selector{Kind: acl.Anyone}, Do: acl.OnSubscribe, Topic: "inner", Place: identity.Rule{File: "f", Line: 4}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		do      identity.Action
		on      string
		allowed bool
	}{
		{identity.Retain, "retain", false},
		{identity.Retain, "publish", false},
		{identity.Retain, "both", true},
		{identity.Publish, "publish", true},
		{identity.Publish, "retain", false},
		{identity.Will, "both", true},
		{identity.Will, "publish", false},
		{identity.Subscribe, "inner", true},
		{identity.Subscribe, "$share/g/inner", true},
		{identity.Subscribe, "$share/g/other", false},
		{identity.Subscribe, "$share/g", false},
		{identity.Receive, "inner", false},
		{identity.Connect, "", true},
	} {
		q := &Query{Principal: identity.Principal{Method: "password", Name: "a"}, ClientID: "c", Action: c.do, Topic: c.on}
		e := Ask(p, q)
		if e.Allowed != c.allowed || e.Allowed != (e.Why == "") || e.Allowed == (e.ToAllow != "") && q.Check() == nil {
			t.Errorf("%v %s: %+v", c.do, c.on, e)
		}
	}
	for q, good := range map[Query]bool{
		{Action: identity.Connect}: true, {Action: identity.Publish, Topic: "a"}: true, {Action: identity.Publish, Topic: "a/#"}: false, {Action: identity.Retain, Topic: "+"}: false,
		{Action: identity.Will, Topic: ""}: false, {Action: identity.Receive, Topic: "a/+"}: false, {Action: identity.Subscribe, Topic: "a/#"}: true,
		{Action: identity.Subscribe, Topic: "a#"}: false, {Action: identity.Retain, Topic: "a"}: true, {Action: identity.Will, Topic: "a"}: true, {Action: identity.Receive, Topic: "a"}: true,
		{Action: 0, Topic: "a"}: false, {Action: 99, Topic: "a"}: false,
	} {
		if err := q.Check(); (err == nil) != good {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
