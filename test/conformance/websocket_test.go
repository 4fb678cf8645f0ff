package conformance_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sealmq/sealmq/internal/conformance"
	"github.com/sealmq/sealmq/internal/transport"
	"github.com/sealmq/sealmq/mqtt"
)

// startWeb runs a broker that speaks MQTT over WebSocket, and returns its address.
func startWeb(t *testing.T) string {
	t.Helper()
	l, err := transport.Listen(t.Context(), transport.Options{
		Address:   netip.MustParseAddrPort("127.0.0.1:0"),
		WebSocket: &transport.WebSocket{Path: "/mqtt", MaxMessage: 1 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, newBroker(t), l)
	return "ws://" + l.Addr().String() + "/mqtt"
}

func dialWeb(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	ws, answer, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		Subprotocols: []string{"other", "mqtt"}, HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != "mqtt" {
		t.Errorf("the subprotocol selected is %q", got)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

// TestWebSocket: a stream of packets does not care where frames begin and end, answers come in binary frames, and a text
// frame ends the connection.
func TestWebSocket(t *testing.T) {
	conformance.Covers(t, "MQTT-6.0.0-1", "MQTT-6.0.0-2", "MQTT-6.0.0-4", "MQTT311-6.0.0-1", "MQTT311-6.0.0-2", "MQTT311-6.0.0-4")
	url := startWeb(t)
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		connect := connectFrame(v, 0x02, lp("web"))
		stream := bytes.Join([][]byte{connect, {0xC0, 0}, {0xC0, 0}, {0xC0, 0}}, nil)
		for _, cuts := range [][]int{
			{len(stream)}, // all in one frame
			{1, 2, 7, len(connect), len(connect) + 3},             // packets over several frames, and two parts in one
			{len(connect) - 1, len(connect) + 1, len(stream) - 1}, // every frame ends within a packet
		} {
			ws := dialWeb(t, url)
			conn := websocket.NetConn(t.Context(), ws, websocket.MessageBinary) // fails when a text frame comes
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			from := 0
			for _, to := range append(cuts, len(stream)) {
				if _, err := conn.Write(stream[from:to]); err != nil {
					t.Fatal(err)
				}
				from = to
			}
			r := mqtt.NewReader(conn, v, 1<<20)
			for i, want := range []mqtt.PacketType{mqtt.TypeConnack, mqtt.TypePingresp, mqtt.TypePingresp, mqtt.TypePingresp} {
				p, err := r.ReadPacket()
				if err != nil || p.Type() != want {
					t.Fatalf("%v, cut at %v, answer %d: %v %v", v, cuts, i, p, err)
				}
			}
			if err := ws.Write(t.Context(), websocket.MessageText, []byte{0xC0, 0}); err != nil {
				t.Fatal(err)
			}
			if p, err := r.ReadPacket(); err == nil {
				t.Errorf("%v: a text frame was answered with %v", v, p.Type())
			}
			_ = conn.Close()
		}
	}
}

// TestWebSocketNeedsSubprotocol: who does not offer "mqtt" is not upgraded.
func TestWebSocketNeedsSubprotocol(t *testing.T) {
	conformance.Covers(t, "MQTT-6.0.0-4", "MQTT311-6.0.0-4")
	url := startWeb(t)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: new(net.Dialer).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, offered := range [][]string{nil, {"other"}, {"MQTTx"}} {
		ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: offered, HTTPClient: &http.Client{Transport: transport}})
		if err == nil {
			_ = ws.CloseNow()
			t.Errorf("upgraded with %q", offered)
		}
	}
}
