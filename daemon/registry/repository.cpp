#include "daemon/registry/repository.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "daemon/base64.h"
#include "daemon/digest.h"
#include "daemon/outbound.h"
#include "daemon/wire/challenge.h"
#include "daemon/wire/oci.h"

namespace hutch::daemon {
namespace {

constexpr int kMostRedirects = 5;
constexpr long kSlowSeconds = 60;              // with less than a KiB in each, a server has gone silent
constexpr size_t kMostRefusalBody = 64 << 10;  // bytes

bool is_redirect(int64_t status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Where its API is, which for one registry is not where its name says.
std::string api_host(const std::string& host) {
    return host == "docker.io" ? "registry-1.docker.io" : host;
}

std::string same_origin(const std::string& url) {
    return lower(origin_of(url));
}

Task<Result<std::string>> read_answer(Fetch& fetch, size_t most) {
    std::string whole;
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await fetch.read());
        if (piece.empty()) co_return whole;
        whole += piece;
        if (whole.size() > most) {
            co_return Error{ErrorKind::kTooLarge, 0, "its answer is larger than " + std::to_string(most) + " bytes"};
        }
    }
}

}  // namespace

Repository::Repository(Fetcher& fetcher, RegistryRules rules, Reference reference, RegistryLogin login, bool to_private,
                       RegistryAccess access)
    : fetcher_(fetcher),
      rules_(std::move(rules)),
      reference_(std::move(reference)),
      login_(std::move(login)),
      to_private_(to_private),
      access_(access) {
    const std::string& host = reference_.host;
    const bool in_clear = std::find(rules_.insecure.begin(), rules_.insecure.end(), host) != rules_.insecure.end();
    if (in_clear) base_ = "http://" + host;
    if (!in_clear && !is_loopback_host(host)) base_ = "https://" + api_host(host);
}

std::string Repository::Answer::header(const std::string& name) const {
    for (const auto& [key, value] : head.headers) {
        if (key == name) return value;
    }
    return "";
}

std::string Repository::name() const {
    return reference_.host + (reference_.repository.empty() ? "" : "/" + reference_.repository);
}

std::string Repository::path(const std::string& rest) const {
    return "/v2/" + reference_.repository + rest;
}

Error Repository::error(ErrorKind kind, const std::string& what) const {
    return Error{kind, 0, name() + ": " + what};
}

// Of this machine's own, who speaks TLS is asked by TLS, and who does not in clear: nobody listens on the way.
Task<Result<void>> Repository::find_base() {
    std::optional<Error> not_by_tls;
    for (const char* scheme : {"https://", "http://"}) {
        const std::string base = scheme + reference_.host;
        Ask what;
        what.target = base + "/v2/";
        FetchCall call = call_of(what, what.target);
        Fetch fetch = fetcher_.start(std::move(call));
        const auto head = co_await fetch.head();
        const bool clear = base.starts_with("http:");
        if (!head.ok() && clear) co_return error(ErrorKind::kConflict, head.error().message);
        if (!head.ok()) not_by_tls = head.error();
        if (!head.ok()) continue;
        // A server of TLS, which did not prove itself, says so to who speaks in clear.
        if (clear && head.value().status == 400) co_return error(ErrorKind::kConflict, not_by_tls->message);
        base_ = base;
        break;
    }
    co_return Result<void>();
}

FetchCall Repository::call_of(const Ask& what, const std::string& url) const {
    FetchCall call;
    call.method = what.method;
    call.url = url;
    call.headers = what.headers;
    call.headers.emplace_back("Expect:");  // else large bodies wait a second for who does not know it
    if (!authorization_.empty() && same_origin(url) == same_origin(base_)) {
        call.headers.push_back("Authorization: " + authorization_);
    }
    call.body = what.body;
    call.file = what.file;
    call.file_bytes = what.file_bytes;
    call.to_private = to_private_;
    call.alone = true;  // of a pull that is over, no connection is left
    call.authorities = rules_.authorities;
    const bool reads = what.method == "GET" || what.method == "HEAD";
    call.slow_seconds = reads ? kSlowSeconds : 0;  // what was sent may take its time to be put in its place
    return call;
}

// With the redirects: those of reading alone, for what is sent is meant for the registry.
Task<Result<Repository::Answer>> Repository::ask_once(const Ask& what) {
    std::string url = what.target.starts_with('/') ? base_ + what.target : what.target;  // or where it wants an upload
    if (base_.starts_with("https://") && !url.starts_with("https://")) {
        co_return error(ErrorKind::kConflict, "it leads from TLS to " + origin_of(url) + ", in clear");
    }
    const bool reads = what.method == "GET" || what.method == "HEAD";
    for (int hops = 0;; ++hops) {
        Answer answer;
        answer.url = url;
        FetchCall call = call_of(what, url);
        answer.fetch = std::make_unique<Fetch>(fetcher_.start(std::move(call)));
        auto head = co_await answer.fetch->head();
        if (!head.ok()) co_return error(head.error().kind, head.error().message);
        answer.head = std::move(head).value();
        if (!reads || !is_redirect(answer.head.status)) co_return std::move(answer);
        if (hops == kMostRedirects) co_return error(ErrorKind::kConflict, "it leads on and on, by redirects");
        auto next = redirected(url, answer.header("location"));
        if (!next.ok()) co_return error(ErrorKind::kConflict, "its redirect: " + next.error().message);
        if (url.starts_with("https://") && !next.value().starts_with("https://")) {
            co_return error(ErrorKind::kConflict, "it leads from TLS to " + origin_of(next.value()) + ", in clear");
        }
        url = std::move(next).value();
    }
}

Task<Result<Repository::Answer>> Repository::ask(Ask what) {
    if (base_.empty()) {
        CO_TRY(co_await find_base());
    }
    for (bool proven = false;; proven = true) {
        const std::string before = authorization_;
        CO_TRY_LET(Answer answer, co_await ask_once(what));
        const bool wanted = answer.head.status == 401 && same_origin(answer.url) == same_origin(base_);
        if (!wanted || proven) co_return std::move(answer);
        if (authorization_ != before) continue;  // another call has proven itself meanwhile
        CO_TRY(co_await prove(answer.head));
    }
}

Task<Result<void>> Repository::prove(const Fetch::Head& head) {
    std::vector<Challenge> challenges;
    for (const auto& [key, value] : head.headers) {
        if (key != "www-authenticate") continue;
        for (Challenge& challenge : parse_challenges(value)) challenges.push_back(std::move(challenge));
    }
    const auto of_scheme = [&challenges](const char* scheme) {
        return std::find_if(challenges.begin(), challenges.end(),
                            [scheme](const Challenge& challenge) { return challenge.scheme == scheme; });
    };
    if (const auto bearer = of_scheme("bearer"); bearer != challenges.end()) {
        std::string realm = bearer->value("realm");
        std::string service = bearer->value("service");
        co_return co_await fetch_token(std::move(realm), std::move(service));
    }
    if (of_scheme("basic") == challenges.end()) {
        co_return error(ErrorKind::kConflict, "it refuses, and asks for no way to prove oneself that is known here");
    }
    if (login_.password.empty()) {
        co_return error(ErrorKind::kForbidden, "it wants a login: hutch registry login " + reference_.host);
    }
    authorization_ = "Basic " + encode_base64(login_.user + ":" + login_.password);
    co_return Result<void>();
}

std::vector<std::string> Repository::scopes() const {
    if (reference_.repository.empty()) return {};
    const std::string of = "repository:" + reference_.repository;
    std::vector<std::string> all{of + (access_ == RegistryAccess::kPush ? ":pull,push" : ":pull")};
    if (!mounted_from_.empty()) all.push_back("repository:" + mounted_from_ + ":pull");
    return all;
}

// The scopes are our own and not what the challenge says: a registry must not have us ask for more than it needs.
Task<Result<void>> Repository::fetch_token(std::string realm, std::string service) {
    const bool good = is_web_address(realm) && !has_control(realm) && realm.find('#') == std::string::npos;
    if (!good) co_return error(ErrorKind::kConflict, "it names no address to ask for a token");
    if (base_.starts_with("https://") && !realm.starts_with("https://")) {
        co_return error(ErrorKind::kConflict,
                        "it wants a token to be asked for at " + origin_of(realm) + ", in clear, which is not done");
    }
    OutboundCall call;
    call.to_private = to_private_;
    call.authorities = rules_.authorities;
    std::string asked = "service=" + escaped_query(service);
    std::string joined;
    for (const std::string& scope : scopes()) {
        asked += login_.refresh.empty() ? "&scope=" + escaped_query(scope) : "";
        joined += (joined.empty() ? "" : " ") + scope;
    }
    if (!login_.refresh.empty()) {
        call.url = realm;
        call.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
        call.body = asked + "&grant_type=refresh_token&client_id=hutch&scope=" + escaped_query(joined) +
                    "&refresh_token=" + escaped_query(login_.refresh);
    } else {
        if (!login_.user.empty()) asked += "&account=" + escaped_query(login_.user);
        call.url = realm + (realm.find('?') == std::string::npos ? "?" : "&") + asked;
        if (!login_.empty()) {
            call.headers.push_back("Authorization: Basic " + encode_base64(login_.user + ":" + login_.password));
        }
    }
    const std::string origin = origin_of(realm);
    const auto answer = co_await call_out(fetcher_, std::move(call));
    if (!answer.ok()) co_return error(ErrorKind::kConflict, "asking for a token: " + answer.error().message);
    const int64_t status = answer.value().status;
    if (status == 401 || status == 403) {
        co_return error(ErrorKind::kForbidden,
                        (login_.empty() ? "it wants a login: " : "it refuses the login; use another: ") +
                            ("hutch registry login " + reference_.host));
    }
    if (status != 200) {
        co_return error(ErrorKind::kConflict,
                        "asking " + origin + " for a token: it answered " + std::to_string(status));
    }
    const auto token = parse_token(answer.value().body);
    if (!token.ok()) {
        co_return error(ErrorKind::kConflict, "what " + origin + " answered for a token: " + token.error().message);
    }
    authorization_ = "Bearer " + token.value().token;
    co_return Result<void>();
}

// What the registry says of itself, if it says it in a way that can be shown.
Task<Error> Repository::refusal(std::string what, Answer answer) {
    const int64_t status = answer.head.status;
    const auto body = co_await read_answer(*answer.fetch, kMostRefusalBody);
    const std::string said = body.ok() ? refusal_in(body.value()) : "";
    std::string sentence = what + ": the registry answered " + std::to_string(status);
    if (!said.empty()) sentence += ": " + said;
    if (status == 401 || status == 403) {
        sentence += "; " + std::string(login_.empty() ? "log in" : "log in as somebody else") +
                    " with: hutch registry login " + reference_.host;
        co_return error(ErrorKind::kForbidden, sentence);
    }
    if (status == 404) co_return error(ErrorKind::kNotFound, sentence);
    if (status == 429) co_return error(ErrorKind::kLimit, sentence);
    co_return error(ErrorKind::kConflict, sentence);
}

Task<Result<void>> Repository::log_in() {
    Ask what;
    what.target = "/v2/";
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    if (answer.head.status != 200) co_return co_await refusal("logging in", std::move(answer));
    co_return Result<void>();
}

Task<Result<RawManifest>> Repository::manifest(std::string tag_or_digest) {
    Ask what;
    what.target = path("/manifests/" + tag_or_digest);
    what.headers.emplace_back(kManifestTypes);
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    if (answer.head.status != 200) co_return co_await refusal("its manifest " + tag_or_digest, std::move(answer));
    RawManifest found;
    const std::string type = answer.header("content-type");
    const std::string told = answer.header("docker-content-digest");
    found.media_type = lower(type.substr(0, type.find_first_of("; ")));
    auto text = co_await read_answer(*answer.fetch, kMostManifest);
    if (!text.ok()) co_return error(text.error().kind, "its manifest " + tag_or_digest + ": " + text.error().message);
    found.text = std::move(text).value();
    found.digest = digest_of(found.text);
    const bool wrong = (oci::check_digest(tag_or_digest).ok() && tag_or_digest != found.digest) ||
                       (oci::check_digest(told).ok() && told != found.digest);
    if (wrong) {
        co_return error(ErrorKind::kConflict,
                        "its manifest " + tag_or_digest + " is not what it says: it is " + found.digest);
    }
    co_return found;
}

Task<Result<Repository::Stream>> Repository::blob(std::string digest, int64_t from) {
    Ask what;
    what.target = path("/blobs/" + digest);
    if (from > 0) what.headers.push_back("Range: bytes=" + std::to_string(from) + "-");
    CO_TRY_LET(Answer answer, co_await ask(std::move(what)));
    const int64_t status = answer.head.status;
    if (status != 200 && status != 206) co_return co_await refusal("its blob " + digest, std::move(answer));
    Stream stream;
    if (status == 206) {
        const std::string range = answer.header("content-range");
        if (!range.starts_with("bytes " + std::to_string(from) + "-")) {
            co_return error(ErrorKind::kConflict, "its blob " + digest + ": it gives another part than was asked for");
        }
        stream.from = from;
    }
    stream.fetch = std::move(answer.fetch);
    co_return std::move(stream);
}

}  // namespace hutch::daemon
