/*
 * A TLS-PSK client over wolfSSL for the interop suite:
 *
 *	wolfssl_client port identity key-in-hex version [suites]
 *
 * version is 12 or 13. It sends the line from standard input and prints the
 * line that comes back. identity "-" configures no key at all.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

static const char *identity;
static unsigned char key[64];
static unsigned int key_len;

static unsigned int psk(WOLFSSL *ssl, const char *hint, char *id, unsigned int id_max,
			unsigned char *out, unsigned int out_max)
{
	(void)ssl;
	(void)hint;
	if (strlen(identity) >= id_max || key_len > out_max)
		return 0;
	strcpy(id, identity);
	memcpy(out, key, key_len);
	return key_len;
}

static int fail(const char *what, int code)
{
	fprintf(stderr, "%s: %d\n", what, code);
	return 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char line[256];
	WOLFSSL_CTX *ctx;
	WOLFSSL *ssl;
	int fd, n;

	if (argc < 5 || strlen(argv[3]) > 2 * sizeof key)
		return 2;
	identity = argv[2];
	for (; argv[3][2 * key_len] != '\0'; key_len++)
		if (sscanf(argv[3] + 2 * key_len, "%2hhx", &key[key_len]) != 1)
			return 2;
	wolfSSL_Init();
	ctx = wolfSSL_CTX_new(strcmp(argv[4], "13") == 0 ? wolfTLSv1_3_client_method() : wolfTLSv1_2_client_method());
	if (ctx == NULL)
		return fail("context", 0);
	wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
	if (strcmp(identity, "-") != 0)
		wolfSSL_CTX_set_psk_client_callback(ctx, psk);
	if (argc > 5 && wolfSSL_CTX_set_cipher_list(ctx, argv[5]) != WOLFSSL_SUCCESS)
		return fail("unknown suite", 0);
	to.sin_port = htons((unsigned short)atoi(argv[1]));
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		return fail("connect", fd);
	if ((ssl = wolfSSL_new(ctx)) == NULL)
		return fail("session", 0);
	wolfSSL_set_fd(ssl, fd);
	if (wolfSSL_connect(ssl) != WOLFSSL_SUCCESS)
		return fail("handshake", wolfSSL_get_error(ssl, 0));
	if (fgets(line, sizeof line, stdin) == NULL)
		return 2;
	if (wolfSSL_write(ssl, line, (int)strlen(line)) <= 0)
		return fail("write", wolfSSL_get_error(ssl, 0));
	if ((n = wolfSSL_read(ssl, line, sizeof line)) <= 0)
		return fail("read", wolfSSL_get_error(ssl, 0));
	printf("%s %.*s", wolfSSL_get_cipher_name(ssl), n, line);
	return 0;
}
