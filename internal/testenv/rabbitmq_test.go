package testenv_test

import (
	"testing"
	"time"

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
	const queue = "kept-through-a-kill"
	ch := channel()
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	sent, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("m")})
	if err != nil || !sent.Wait() {
		t.Fatalf("the broker did not take a message: %v", err)
	}
	// The broker answers once its database has the queue; the log below that may gather writes
	// for two seconds.
	for end := time.Now().Add(30 * time.Second); !r.OnDisk(queue); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no file of the broker's database names the queue")
		}
	}
	r.Kill()
	if _, err := r.Dial(); err == nil {
		t.Fatal("killed, yet it takes logins")
	}
	r.Restart(t)
	if m, ok, err := channel().Get(queue, true); err != nil || !ok || string(m.Body) != "m" {
		t.Errorf("after a restart: got %q, %v, %v; want the message", m.Body, ok, err)
	}
}

func TestRabbitSpeaksTLS(t *testing.T) {
	t.Parallel()
	testenv.StartRabbit(t, testenv.RabbitConfig{TLS: testenv.NewCertificates(t, "rabbit.test")})
}
