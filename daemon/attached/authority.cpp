#include "daemon/attached/authority.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <boost/asio/ssl/context.hpp>

namespace hutch::daemon {
namespace {

namespace ssl = boost::asio::ssl;

template <auto kFree>
using Freed = decltype([](auto* object) { kFree(object); });
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO_free_all>>;

constexpr long kDay = 86400;
constexpr long kAuthorityDays = 3650;
constexpr long kHostDays = 30;
constexpr std::chrono::hours kAge{24};

Error openssl_failed(const std::string& what) {
    return errno_error(what, EIO);
}

std::string text_of(BIO* memory) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory, &data);
    return {data, static_cast<size_t>(size)};
}

Memory memory_of(const std::string& text) {
    return Memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<Certificate> read_certificate(const std::string& pem) {
    Certificate certificate(PEM_read_bio_X509(memory_of(pem).get(), nullptr, nullptr, nullptr));
    if (!certificate) return openssl_failed("reading a box's authority");
    return certificate;
}

bool add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// Whoever asks for another certificate of the same authority must not be told the same number.
bool set_serial(X509* certificate) {
    uint64_t number = 0;
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof(number)) != 1) return false;
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number >> 1 | 1) == 1;
}

// A day back: the clocks are the same, but not every library's idea of "before".
Certificate begin_certificate(EVP_PKEY* key, const std::string& name, long days) {
    Certificate certificate(X509_new());
    if (!certificate) return nullptr;
    X509_NAME* const subject = X509_get_subject_name(certificate.get());
    const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
    constexpr long kVersion3 = 2;
    const bool begun = X509_set_version(certificate.get(), kVersion3) == 1 && set_serial(certificate.get()) &&
                       X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kDay) != nullptr &&
                       X509_gmtime_adj(X509_getm_notAfter(certificate.get()), days * kDay) != nullptr &&
                       X509_set_pubkey(certificate.get(), key) == 1 &&
                       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1;
    return begun ? std::move(certificate) : nullptr;
}

}  // namespace

struct Authority::Keys {
    Key key;
    Certificate certificate;
    Key host_key;  ///< of all its hosts
};

Result<AuthorityFiles> make_authority(const std::string& name) {
    const Error failed = openssl_failed("making a box's authority");
    const Key key(EVP_EC_gen("P-256"));
    if (!key) return failed;
    const Certificate certificate = begin_certificate(key.get(), name, kAuthorityDays);
    X509* const raw = certificate.get();
    if (!certificate || X509_set_issuer_name(raw, X509_get_subject_name(raw)) != 1 ||
        !add_extension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(raw, raw, NID_subject_key_identifier, "hash") || X509_sign(raw, key.get(), EVP_sha256()) == 0) {
        return failed;
    }
    const Memory key_text(BIO_new(BIO_s_secmem()));
    const Memory certificate_text(BIO_new(BIO_s_mem()));
    if (PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
        PEM_write_bio_X509(certificate_text.get(), raw) != 1) {
        return failed;
    }
    return AuthorityFiles{text_of(key_text.get()), text_of(certificate_text.get())};
}

Result<std::string> subject_hash(const std::string& certificate) {
    const Certificate read = TRY(read_certificate(certificate));
    char text[16];
    snprintf(text, sizeof(text), "%08lx", X509_subject_name_hash(read.get()));
    return std::string(text);
}

Authority::Authority(std::unique_ptr<Keys> keys) : keys_(std::move(keys)) {}
Authority::~Authority() = default;

Result<std::shared_ptr<Authority>> Authority::open(const AuthorityFiles& files) {
    auto keys = std::make_unique<Keys>();
    keys->certificate = TRY(read_certificate(files.certificate));
    keys->key.reset(PEM_read_bio_PrivateKey(memory_of(files.key).get(), nullptr, nullptr, nullptr));
    keys->host_key.reset(EVP_EC_gen("P-256"));
    if (!keys->key || !keys->host_key) return openssl_failed("reading a box's authority");
    return std::shared_ptr<Authority>(new Authority(std::move(keys)));
}

// With all that a strict reader asks for (RFC 5280; Python's VERIFY_X509_STRICT).
Result<std::shared_ptr<ssl::context>> Authority::make_context(const std::string& host) const {
    const Error failed = openssl_failed("making a certificate of " + host);
    X509* const issuer = keys_->certificate.get();
    const Certificate certificate = begin_certificate(keys_->host_key.get(), "attached headers", kHostDays);
    X509* const raw = certificate.get();
    if (!certificate || X509_set_issuer_name(raw, X509_get_subject_name(issuer)) != 1 ||
        !add_extension(raw, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(raw, issuer, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(raw, issuer, NID_ext_key_usage, "serverAuth") ||
        !add_extension(raw, issuer, NID_subject_key_identifier, "hash") ||
        !add_extension(raw, issuer, NID_authority_key_identifier, "keyid:always") ||
        !add_extension(raw, issuer, NID_subject_alt_name, "DNS:" + host) ||
        X509_sign(raw, keys_->key.get(), EVP_sha256()) == 0) {
        return failed;
    }
    auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
    SSL_CTX* const native = context->native_handle();
    SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_use_certificate(native, raw) != 1 || SSL_CTX_use_PrivateKey(native, keys_->host_key.get()) != 1) {
        return failed;
    }
    // Who speaks HTTP/2 alone is refused (RFC 7301, 3.2).
    const auto choose = [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                           unsigned length, void*) {
        static constexpr unsigned char kOurs[] = "\x08http/1.1";
        unsigned char* chosen = nullptr;
        const int found = SSL_select_next_proto(&chosen, size, kOurs, sizeof(kOurs) - 1, in, length);
        *out = chosen;
        return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
    };
    SSL_CTX_set_alpn_select_cb(native, choose, nullptr);
    return context;
}

Result<std::shared_ptr<ssl::context>> Authority::context_of(const std::string& host) {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(host);
    if (found != kept_.end() && now - found->second.made < kAge) return found->second.context;
    auto context = TRY(make_context(host));
    if (kept_.size() >= kMostKept) kept_.clear();
    kept_[host] = {context, now};
    return context;
}

}  // namespace hutch::daemon
