#include "daemon/git/forge.h"

#include <curl/curl.h>

#include <memory>

namespace hutch::daemon {
namespace {

constexpr long kConnectSeconds = 10;
constexpr long kSeconds = 30;
constexpr size_t kMostAnswer = 4 * 1024 * 1024;  // bytes

struct Headers {
    curl_slist* list = nullptr;
    Headers() = default;
    Headers(const Headers&) = delete;
    Headers& operator=(const Headers&) = delete;
    ~Headers() { curl_slist_free_all(list); }
    void add(const std::string& line) { list = curl_slist_append(list, line.c_str()); }
};

size_t keep(char* data, size_t, size_t size, void* kept) {
    auto& body = *static_cast<std::string*>(kept);
    if (body.size() + size > kMostAnswer) return 0;  // less than size: curl gives up
    body.append(data, size);
    return size;
}

bool begin_curl() {
    static const bool kBegun = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    return kBegun;
}

}  // namespace

Result<ForgeAnswer> call_forge(const ForgeCall& call) {
    const std::unique_ptr<CURL, void (*)(CURL*)> curl(begin_curl() ? curl_easy_init() : nullptr, curl_easy_cleanup);
    if (curl == nullptr) return Error{ErrorKind::kSystem, ENOMEM, "calling " + call.url + ": no memory for it"};
    Headers headers;
    headers.add("Authorization: Bearer " + call.token);
    headers.add("Accept: application/vnd.github+json");
    headers.add("Content-Type: application/json");
    ForgeAnswer answer;
    const auto set = [&curl](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
    set(CURLOPT_URL, call.url.c_str());
    set(CURLOPT_HTTPHEADER, headers.list);
    set(CURLOPT_USERAGENT, "hutchd");  // GitHub refuses who has no name
    set(CURLOPT_PROTOCOLS_STR, "https,http");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_NOSIGNAL, 1L);  // it is not the only thread
    set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    set(CURLOPT_TIMEOUT, kSeconds);
    set(CURLOPT_WRITEFUNCTION, keep);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&answer.body));
    if (!call.body.empty()) {
        set(CURLOPT_POSTFIELDSIZE, static_cast<long>(call.body.size()));
        set(CURLOPT_POSTFIELDS, call.body.c_str());
    }
    const CURLcode code = curl_easy_perform(curl.get());
    if (code != CURLE_OK) {
        return Error{ErrorKind::kConflict, 0, "calling " + call.url + ": " + curl_easy_strerror(code)};
    }
    long status = 0;
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    answer.status = status;
    return answer;
}

}  // namespace hutch::daemon
