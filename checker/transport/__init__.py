"""Questions to a real endpoint over TLS, DTLS, HTTP, MQTT and CoAP; every byte is kept in a transcript."""
