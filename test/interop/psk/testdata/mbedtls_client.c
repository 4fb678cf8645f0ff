/*
 * A TLS-PSK client over mbedTLS 2.x or 3.x for the interop suite:
 *
 *	mbedtls_client port identity key-in-hex [suite]
 *
 * It sends the line from standard input and prints the line that comes back.
 * identity "-" configures no key at all.
 */
#include <stdio.h>
#include <string.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>

static int fail(const char *what, int code)
{
	fprintf(stderr, "%s: -0x%04x\n", what, (unsigned)-code);
	return 1;
}

int main(int argc, char **argv)
{
	mbedtls_net_context net;
	mbedtls_ssl_context ssl;
	mbedtls_ssl_config conf;
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context drbg;
	unsigned char key[64];
	size_t key_len = 0;
	int suites[2] = { 0, 0 };
	char line[256];
	int n, code;

	if (argc < 4 || strlen(argv[3]) > 2 * sizeof key)
		return 2;
	for (; argv[3][2 * key_len] != '\0'; key_len++)
		if (sscanf(argv[3] + 2 * key_len, "%2hhx", &key[key_len]) != 1)
			return 2;
	mbedtls_net_init(&net);
	mbedtls_ssl_init(&ssl);
	mbedtls_ssl_config_init(&conf);
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&drbg);
	if ((code = mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0)) != 0)
		return fail("seed", code);
	if ((code = mbedtls_net_connect(&net, "127.0.0.1", argv[1], MBEDTLS_NET_PROTO_TCP)) != 0)
		return fail("connect", code);
	if ((code = mbedtls_ssl_config_defaults(&conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
						MBEDTLS_SSL_PRESET_DEFAULT)) != 0)
		return fail("config", code);
	mbedtls_ssl_conf_authmode(&conf, MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_rng(&conf, mbedtls_ctr_drbg_random, &drbg);
	if (strcmp(argv[2], "-") != 0 &&
	    (code = mbedtls_ssl_conf_psk(&conf, key, key_len, (unsigned char *)argv[2], strlen(argv[2]))) != 0)
		return fail("psk", code);
	if (argc > 4) {
		suites[0] = mbedtls_ssl_get_ciphersuite_id(argv[4]);
		if (suites[0] == 0)
			return fail("unknown suite", 0);
		mbedtls_ssl_conf_ciphersuites(&conf, suites);
	}
	if ((code = mbedtls_ssl_setup(&ssl, &conf)) != 0)
		return fail("setup", code);
	mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
	if ((code = mbedtls_ssl_handshake(&ssl)) != 0)
		return fail("handshake", code);
	if (fgets(line, sizeof line, stdin) == NULL)
		return 2;
	if ((code = mbedtls_ssl_write(&ssl, (unsigned char *)line, strlen(line))) < 0)
		return fail("write", code);
	if ((n = mbedtls_ssl_read(&ssl, (unsigned char *)line, sizeof line)) <= 0)
		return fail("read", n);
	printf("%s %.*s", mbedtls_ssl_get_ciphersuite(&ssl), n, line);
	return 0;
}
