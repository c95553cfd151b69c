#include "daemon/api/tls.h"

#include <boost/asio/ssl/context.hpp>

#include "daemon/trusted_file.h"

namespace hutch::daemon {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

Result<std::shared_ptr<ssl::context>> make_context(ssl::context::method side) {
    auto context = std::make_shared<ssl::context>(side);
    SSL_CTX* native = context->native_handle();
    SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);  // 34 KiB of each idle connection
    SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
    error_code failed;
    // Or OpenSSL would ask for it on the terminal.
    context->set_password_callback([](size_t, ssl::context::password_purpose) { return std::string(); }, failed);
    if (failed) return Error{ErrorKind::kSystem, 0, "TLS: " + failed.message()};
    return context;
}

}  // namespace

Result<std::shared_ptr<Tls>> Tls::load(File certificate, File key) {
    if (certificate.path.empty()) return invalid(certificate.option + ": is required beside " + key.option);
    if (key.path.empty()) return invalid(key.option + ": is required beside " + certificate.option);
    const std::shared_ptr<Tls> tls(new Tls(std::move(certificate), std::move(key)));
    TRY(tls->reload());
    return tls;
}

Result<std::shared_ptr<Tls>> Tls::load_mutual(File certificate, File key, File authority) {
    for (const File& file : {certificate, key, authority}) {
        if (file.path.empty()) return invalid(file.option + ": is required of a member of a fleet");
    }
    const std::shared_ptr<Tls> tls(new Tls(std::move(certificate), std::move(key), std::move(authority)));
    TRY(tls->reload());
    return tls;
}

Result<void> Tls::fill(ssl::context& context) const {
    const std::string chain = TRY_IN(certificate_.option, read_trusted(certificate_.path, kOthersMayWrite));
    error_code failed;
    context.use_certificate_chain(boost::asio::buffer(chain), failed);
    if (failed) return invalid(certificate_.option + ": " + certificate_.path + " holds no certificate as PEM");
    const std::string key = TRY_IN(key_.option, read_trusted(key_.path, kEverybodyMayLook));
    context.use_private_key(boost::asio::buffer(key), ssl::context::pem, failed);
    if (failed) {
        return invalid(key_.option + ": " + key_.path + " holds no key, as PEM and without a password, of the " +
                       "certificate in " + certificate_.path);
    }
    if (authority_.path.empty()) return {};
    const std::string authority = TRY_IN(authority_.option, read_trusted(authority_.path, kOthersMayWrite));
    context.add_certificate_authority(boost::asio::buffer(authority), failed);
    if (failed) return invalid(authority_.option + ": " + authority_.path + " holds no certificate as PEM");
    context.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, failed);
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_3_VERSION);
    // A ticket comes when nobody waits for anything, and would be taken for a stale connection's end.
    SSL_CTX_set_num_tickets(context.native_handle(), 0);
    return {};
}

Result<void> Tls::reload() {
    auto context = TRY(make_context(ssl::context::tls_server));
    TRY(fill(*context));
    if (!authority_.path.empty()) {
        auto client = TRY(make_context(ssl::context::tls_client));
        TRY(fill(*client));
        client_context_ = std::move(client);
    }
    context_ = std::move(context);
    return {};
}

}  // namespace hutch::daemon
