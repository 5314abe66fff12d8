package testenv_test

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"barong/internal/testenv"
)

func TestRabbitKeepsWhatIsDurable(t *testing.T) {
	t.Parallel()
	r := testenv.StartRabbit(t, testenv.RabbitConfig{})
	channel := func() *amqp.Channel {
		conn, err := r.Dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	ch := channel()
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	sent, err := ch.PublishWithDeferredConfirm("", "q", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("m")})
	if err != nil || !sent.Wait() {
		t.Fatalf("the broker did not take a message: %v", err)
	}
	r.Kill()
	if _, err := r.Dial(); err == nil {
		t.Fatal("killed, yet it takes logins")
	}
	r.Restart(t)
	if m, ok, err := channel().Get("q", true); err != nil || !ok || string(m.Body) != "m" {
		t.Errorf("after a restart: got %q, %v, %v; want the message", m.Body, ok, err)
	}
}

func TestRabbitSpeaksTLS(t *testing.T) {
	t.Parallel()
	testenv.StartRabbit(t, testenv.RabbitConfig{TLS: testenv.NewCertificates(t, "rabbit.test")})
}
