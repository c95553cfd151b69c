#pragma once

// Only connection.cpp includes this: it brings OpenSSL in.

#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <string>

#include "base/result.h"
#include "client/host.h"

namespace hutch::client {

/// Of TLS 1.2 and later, with a server whose certificate is of an issuer in that PEM file, or known to the system if
/// the file is "".
Result<boost::asio::ssl::context> tls_context(const std::string& ca_file);
/// The certificate must be for that name or address, which is told to the server as well.
Result<void> expect_name(SSL* tls, const std::string& name);
/// What to say of a handshake that failed. `verdict`: X509_V_OK, or what was wrong with the certificate.
Error handshake_error(const Host& host, const boost::system::error_code& code, long verdict);

}  // namespace hutch::client
