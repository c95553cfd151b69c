#include "client/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <boost/asio/ssl/error.hpp>

namespace hutch::client {
namespace ssl = boost::asio::ssl;

namespace {

std::string fault_of(const Host& host, long verdict) {
    switch (verdict) {
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return "is not for \"" + host.name + '"';
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return "has expired";
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return "is not valid yet; is the clock here right?";
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            return "is of an issuer not known here; --ca-file or HUTCH_CA_FILE names a file with the one to trust";
        default:
            return std::string("is not trusted: ") + X509_verify_cert_error_string(verdict);
    }
}

}  // namespace

Result<ssl::context> tls_context(const std::string& ca_file) {
    ssl::context context(ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    context.set_verify_mode(ssl::verify_peer);
    boost::system::error_code code;
    if (ca_file.empty()) {
        context.set_default_verify_paths(code);
        if (code) return Error{ErrorKind::kSystem, 0, "reading this system's certificates: " + code.message()};
        return context;
    }
    if (access(ca_file.c_str(), R_OK) != 0) return errno_error("reading the CA file " + ca_file);
    context.load_verify_file(ca_file, code);
    if (code) return Error{ErrorKind::kSystem, 0, "the CA file " + ca_file + " holds no certificate as PEM"};
    return context;
}

Result<void> expect_name(SSL* tls, const std::string& name) {
    X509_VERIFY_PARAM* rules = SSL_get0_param(tls);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) == 1) return {};
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set1_host(rules, name.c_str(), 0) == 1 && SSL_set_tlsext_host_name(tls, name.c_str()) == 1) {
        return {};
    }
    return invalid("\"" + name + "\" is no name that a certificate can be for");
}

Error handshake_error(const Host& host, const boost::system::error_code& code, long verdict) {
    const std::string at = " at " + host.text;
    if (verdict != X509_V_OK) {
        return Error{ErrorKind::kSystem, 0, "the certificate" + at + " " + fault_of(host, verdict)};
    }
    const bool ssl_error = code.category() == boost::asio::error::get_ssl_category();
    if (ssl_error && ERR_GET_REASON(static_cast<unsigned long>(code.value())) == SSL_R_WRONG_VERSION_NUMBER) {
        return Error{ErrorKind::kSystem, 0, "what answers" + at + " does not speak TLS; is it an http:// one?"};
    }
    return Error{ErrorKind::kSystem, 0,
                 "no TLS could be agreed on" + at + ": " + code.message() + "; is it an http:// one?"};
}

}  // namespace hutch::client
