// Package testenv gives tests the real servers that they need, throwaway and on loopback:
// PostgreSQL, Redis, RabbitMQ and ClamAV.
//
//	test ── Database(t, …) ──► one PostgreSQL of this test binary, started at first use
//	                             │ prepare once
//	                             ├─► template database
//	                             └─► CREATE DATABASE … TEMPLATE for each test case
//
//	test ── StartPostgres(t), StartRedis(t, …), StartClamd(t, …), … ──► a server of that test
//
// A server that is missing on the machine skips the test, or fails it when CI=true;
// scripts/services installs the missing ones. Each server that this package starts ends with the
// process that started it, however that ends.
package testenv
