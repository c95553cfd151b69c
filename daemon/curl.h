#pragma once

// What every use of libcurl here has in common; for those few files alone.

#include <curl/curl.h>

#include <memory>
#include <string>
#include <vector>

namespace hutch::daemon {

using CurlHandle = std::unique_ptr<CURL, void (*)(CURL*)>;
using CurlHeaders = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

inline CurlHeaders curl_headers(const std::vector<std::string>& lines) {
    curl_slist* list = nullptr;
    for (const std::string& line : lines) list = curl_slist_append(list, line.c_str());
    return {list, curl_slist_free_all};
}

/// A call of that address, which must prove who it is where that is by TLS; redirects are answers. Both must outlive
/// it. Null without memory.
inline CurlHandle curl_call(const std::string& url, const CurlHeaders& headers) {
    static const bool kBegun = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    CurlHandle curl(kBegun ? curl_easy_init() : nullptr, curl_easy_cleanup);
    if (!curl) return curl;
    const auto set = [&curl](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
    constexpr long kConnectSeconds = 10;
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_PROTOCOLS_STR, "https,http");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_NOSIGNAL, 1L);  // it is not the only thread
#if LIBCURL_VERSION_NUM >= 0x075700
    set(CURLOPT_QUICK_EXIT, 1L);  // does not wait for a name server that says nothing
#endif
    set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    return curl;
}

}  // namespace hutch::daemon
