#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# openssl: speed (also with forked workers), and keys, signatures, certificates, ciphers.

. "$(dirname "$0")/lib.sh"

need openssl

# The table has as many rows and columns; its figures are the machine's business.
figures()
{
	sed -E 's/[0-9]+(\.[0-9]+)?([ks]| op)?/N/g; s/ +/ /g'
}

speed()
{
	evidence_of openssl 'libcrypto.so.3' openssl version -a
	openssl speed -seconds 1 -bytes 1024 sha256 aes-128-cbc 2>&1 | figures
	openssl speed -seconds 1 rsa2048 2>&1 | figures
	openssl speed -seconds 1 -bytes 1024 -multi 2 sha256 2>&1 | grep -v '^Got:' | figures | sort
}

ciphers()
{
	evidence_of openssl 'libcrypto.so.3' openssl version
	seq 500000 >plain
	openssl sha256 plain
	openssl enc -aes-256-cbc -pbkdf2 -S 0102030405060708 -pass pass:word -in plain -out secret
	openssl sha256 secret
	openssl enc -d -aes-256-cbc -pbkdf2 -S 0102030405060708 -pass pass:word -in secret |
		cmp - plain
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
	for key in ec rsa; do
		openssl dgst -sha256 -sign $key.pem -out $key.sig plain
		openssl pkey -in $key.pem -pubout -out $key.pub
		openssl dgst -sha256 -verify $key.pub -signature $key.sig plain
		openssl req -x509 -key $key.pem -subj "/CN=$key.test" -days 2 -out $key.crt
		openssl verify -CAfile $key.crt $key.crt
	done
}

same 60 "speed of a digest, a cipher and RSA, also in two processes" speed
same 30 "keys, signatures, certificates and ciphers" ciphers
