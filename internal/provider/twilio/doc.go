// Package twilio sends codes to phones by Twilio: SMS sends messages with codes of ours, Verify lets
// Twilio make, send and check them. It decides nothing: the rules of asking for a code, and of
// trying one, are package person's.
//
// Whatever Twilio answers, or does not, becomes one of person's refusals. No error and no log line
// holds a number, a code, a key or an answer.
package twilio
