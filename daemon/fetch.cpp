#include "daemon/fetch.h"

#include <unistd.h>

#include <boost/asio/post.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "base/text.h"
#include "daemon/curl.h"
#include "daemon/event.h"
#include "daemon/public_address.h"
#include "netns/own_address.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostAnswerWaiting = 256 << 10;  // bytes of an answer that nobody has read yet
constexpr size_t kMostHead = 64 << 10;            // bytes of its headers, with those that come before and after it
constexpr long kMostIdle = 64;                    // connections kept for later calls
constexpr long kSilence = 600;                    // seconds: a model may think for minutes without a word
constexpr long kSlow = 1024;                      // bytes a second
constexpr int kLongestPoll = 60'000;              // ms; whatever happens ends it earlier

enum class Order { kStart, kGoOn, kBreakOff };

}  // namespace

// What the two threads share of one call. The loop's side waits for `changed`; all else is under the mutex, or the
// thread's own.
struct Fetch::Call : std::enable_shared_from_this<Fetch::Call> {
    Call(FetchCall what, std::shared_ptr<Fetcher::Thread> its_thread, asio::any_io_executor its_executor)
        : asked(std::move(what)),
          headers(curl_headers(asked.headers)),
          thread(std::move(its_thread)),
          executor(std::move(its_executor)),
          changed(executor) {}

    void tell() {
        asio::post(executor, [self = shared_from_this()] { self->changed.notify(); });
    }

    const FetchCall asked;
    const CurlHeaders headers;
    const std::shared_ptr<Fetcher::Thread> thread;
    const asio::any_io_executor executor;
    Signal changed;
    CurlHandle curl{nullptr, curl_easy_cleanup};  ///< the thread's
    bool at_private = false;                      ///< the same: it was at an address that it may not go to
    int64_t sent = 0;                             ///< the same: of the file

    std::mutex mutex;
    Head head;
    size_t head_bytes = 0;
    bool headed = false;
    bool ended = false;
    bool paused = false;  ///< the thread keeps a piece back until there is room
    std::string waiting;
    std::optional<Error> failure;
};

struct Fetcher::Thread {
    explicit Thread(CURLM* its_multi, asio::any_io_executor its_executor)
        : multi(its_multi, curl_multi_cleanup), executor(std::move(its_executor)) {}

    void order(Order what, std::shared_ptr<Fetch::Call> call) {
        const std::lock_guard guard(mutex);
        if (stopping) return;
        orders.emplace_back(what, std::move(call));
        curl_multi_wakeup(multi.get());
    }
    void stop() {
        {
            const std::lock_guard guard(mutex);
            stopping = true;
            curl_multi_wakeup(multi.get());
        }
        if (thread.joinable()) thread.join();
        orders.clear();
    }
    void run();
    bool take_orders();
    void start(const std::shared_ptr<Fetch::Call>& call);
    void end(CURL* curl, const std::optional<Error>& failure);
    void note_ends();

    const std::unique_ptr<CURLM, CURLMcode (*)(CURLM*)> multi;
    const asio::any_io_executor executor;
    std::map<CURL*, std::shared_ptr<Fetch::Call>> under_way;  ///< the thread's
    std::mutex mutex;
    std::vector<std::pair<Order, std::shared_ptr<Fetch::Call>>> orders;
    bool stopping = false;
    std::thread thread;
};

namespace {

size_t take_header(char* data, size_t, size_t size, void* into) {
    auto& call = *static_cast<Fetch::Call*>(into);
    std::string_view line(data, size);
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    const std::lock_guard guard(call.mutex);
    if ((call.head_bytes += size) > kMostHead) return 0;  // less than size: curl gives up
    if (line.starts_with("HTTP/")) {                      // an interim answer's head may have come before
        call.head = {};
        curl_easy_getinfo(call.curl.get(), CURLINFO_RESPONSE_CODE, &call.head.status);
        return size;
    }
    if (line.empty()) {
        call.headed = call.head.status >= 200;
        if (call.headed) call.tell();
        return size;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return size;
    const size_t value = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
    call.head.headers.emplace_back(lower(line.substr(0, colon)), line.substr(value));
    return size;
}

size_t take_body(char* data, size_t, size_t size, void* into) {
    auto& call = *static_cast<Fetch::Call*>(into);
    const std::lock_guard guard(call.mutex);
    if (!call.waiting.empty() && call.waiting.size() + size > kMostAnswerWaiting) {
        call.paused = true;
        return CURL_WRITEFUNC_PAUSE;  // the piece is offered again
    }
    call.waiting.append(data, size);
    call.tell();
    return size;
}

// Reads a file as it goes out. One that has become shorter, or cannot be read, breaks the call off.
size_t give_file(char* into, size_t, size_t room, void* of) {
    auto& call = *static_cast<Fetch::Call*>(of);
    const auto left = static_cast<size_t>(call.asked.file_bytes - call.sent);
    if (left == 0) return 0;
    const ssize_t got = pread(call.asked.file->get(), into, std::min(room, left), call.sent);
    if (got <= 0) return CURL_READFUNC_ABORT;
    call.sent += got;
    return static_cast<size_t>(got);
}

// A connection that was kept for later calls may be found closed when some of the file has gone out by it.
int rewind_file(void* of, curl_off_t offset, int origin) {
    if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
    static_cast<Fetch::Call*>(of)->sent = offset;
    return CURL_SEEKFUNC_OK;
}

// The method, and what is sent by it.
void set_request(CURL* curl, Fetch::Call& call) {
    const FetchCall& asked = call.asked;
    const auto set = [curl](CURLoption option, auto value) { curl_easy_setopt(curl, option, value); };
    if (asked.method == "GET") return;
    if (asked.method == "HEAD") {
        set(CURLOPT_NOBODY, 1L);
        return;
    }
    set(CURLOPT_CUSTOMREQUEST, asked.method.c_str());
    if (asked.file) {
        set(CURLOPT_UPLOAD, 1L);
        set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(asked.file_bytes));
        set(CURLOPT_READFUNCTION, give_file);
        set(CURLOPT_READDATA, static_cast<void*>(&call));
        set(CURLOPT_SEEKFUNCTION, rewind_file);
        set(CURLOPT_SEEKDATA, static_cast<void*>(&call));
    } else if (asked.method != "DELETE") {
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(asked.body.size()));
        set(CURLOPT_POSTFIELDS, asked.body.c_str());
    }
}

// The address is looked at where it is used, so that no name can mean another between the look and the use.
curl_socket_t open_public(void* of, curlsocktype, curl_sockaddr* address) {
    const auto own = netns::is_own_address(address->addr);
    if (!is_public(address->addr) || !own.ok() || own.value()) {
        static_cast<Fetch::Call*>(of)->at_private = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

}  // namespace

void Fetcher::Thread::start(const std::shared_ptr<Fetch::Call>& call) {
    const FetchCall& asked = call->asked;
    call->curl = curl_call(asked.url, call->headers);
    CURL* curl = call->curl.get();
    under_way[curl] = call;
    if (curl == nullptr)
        return end(curl, Error{ErrorKind::kSystem, ENOMEM, "calling " + origin_of(asked.url) + ": no memory"});
    const auto set = [curl](CURLoption option, auto value) { curl_easy_setopt(curl, option, value); };
    set(CURLOPT_PATH_AS_IS, 1L);
    // A connection for each: of HTTP/2 libcurl keeps 32 MiB of each answer that nobody reads.
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_LOW_SPEED_LIMIT, asked.slow_seconds > 0 ? kSlow : 1L);
    set(CURLOPT_LOW_SPEED_TIME, asked.slow_seconds > 0 ? asked.slow_seconds : kSilence);
    set(CURLOPT_HEADERFUNCTION, take_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(call.get()));
    set(CURLOPT_WRITEFUNCTION, take_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(call.get()));
    if (asked.alone) {                     // no connection that another call was let go to, nor one left for others
        set(CURLOPT_USERAGENT, "hutchd");  // where the headers name none: GitHub refuses who has no name
        set(CURLOPT_FRESH_CONNECT, 1L);
        set(CURLOPT_FORBID_REUSE, 1L);
    }
    if (asked.seconds > 0) set(CURLOPT_TIMEOUT, asked.seconds);
    if (asked.identity) {
        set(CURLOPT_CAINFO, asked.identity->authority.c_str());
        set(CURLOPT_CAPATH, static_cast<char*>(nullptr));  // else any authority of the host's may vouch, too
        set(CURLOPT_PROXY, "");
        set(CURLOPT_SSLCERT, asked.identity->certificate.c_str());
        set(CURLOPT_SSLKEY, asked.identity->key.c_str());
    }
    if (!asked.to_private) {
        set(CURLOPT_PROXY, "");  // else the proxy's address would be the one that is looked at
        set(CURLOPT_OPENSOCKETFUNCTION, open_public);
        set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(call.get()));
    }
    if (!asked.authorities.empty()) set(CURLOPT_CAINFO, asked.authorities.c_str());  // the system's are by CAPATH
    set_request(curl, *call);
    curl_multi_add_handle(multi.get(), curl);
}

void Fetcher::Thread::end(CURL* curl, const std::optional<Error>& failure) {
    const auto found = under_way.find(curl);
    if (found == under_way.end()) return;
    const auto call = found->second;
    under_way.erase(found);
    if (curl != nullptr) curl_multi_remove_handle(multi.get(), curl);
    call->curl.reset();
    const std::lock_guard guard(call->mutex);
    call->ended = true;
    call->failure = failure;
    call->tell();
}

void Fetcher::Thread::note_ends() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        std::optional<Error> failure;
        if (const CURLcode code = message->data.result; code != CURLE_OK) {
            const Fetch::Call& call = *under_way.at(message->easy_handle);
            const std::string why =
                call.at_private ? "it is at a private address, or one of this host's" : curl_easy_strerror(code);
            failure = Error{ErrorKind::kConflict, 0, "calling " + origin_of(call.asked.url) + ": " + why};
        }
        end(message->easy_handle, failure);
    }
}

bool Fetcher::Thread::take_orders() {
    std::vector<std::pair<Order, std::shared_ptr<Fetch::Call>>> taken;
    {
        const std::lock_guard guard(mutex);
        if (stopping) return false;
        taken.swap(orders);
    }
    for (const auto& [what, call] : taken) {
        if (what == Order::kStart) {
            start(call);
        } else if (call->curl != nullptr) {
            if (what == Order::kGoOn) curl_easy_pause(call->curl.get(), CURLPAUSE_CONT);
            if (what == Order::kBreakOff) end(call->curl.get(), std::nullopt);
        }
    }
    return true;
}

void Fetcher::Thread::run() {
    while (take_orders()) {
        int running = 0;
        curl_multi_perform(multi.get(), &running);
        note_ends();
        curl_multi_poll(multi.get(), nullptr, 0, kLongestPoll, nullptr);
    }
    while (!under_way.empty()) end(under_way.begin()->first, Error{ErrorKind::kSystem, ECANCELED, "hutchd is ending"});
}

Result<Fetcher> Fetcher::open(const asio::any_io_executor& executor) {
    CURLM* const multi = curl_multi_init();
    if (multi == nullptr) return Error{ErrorKind::kSystem, ENOMEM, "libcurl: no memory"};
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kMostIdle);
    auto thread = std::make_shared<Thread>(multi, executor);
    thread->thread = std::thread([raw = thread.get()] { raw->run(); });
    return Fetcher(std::move(thread));
}

Fetcher::~Fetcher() {
    if (thread_) thread_->stop();
}

Fetch Fetcher::start(FetchCall call) {
    auto shared = std::make_shared<Fetch::Call>(std::move(call), thread_, thread_->executor);
    thread_->order(Order::kStart, shared);
    return Fetch(std::move(shared));
}

Fetch::~Fetch() {
    if (call_) call_->thread->order(Order::kBreakOff, call_);
}

Task<Result<Fetch::Head>> Fetch::head() {
    const auto call = call_;
    for (;;) {
        {
            const std::lock_guard guard(call->mutex);
            if (call->headed) co_return call->head;
            if (call->failure) co_return *call->failure;
            if (call->ended)
                co_return Error{ErrorKind::kConflict, 0, "calling " + origin_of(call->asked.url) + ": no answer"};
        }
        co_await call->changed.wait();
    }
}

Task<Result<std::string>> Fetch::read() {
    const auto call = call_;
    for (;;) {
        std::string piece;
        bool go_on = false;
        {
            const std::lock_guard guard(call->mutex);
            piece.swap(call->waiting);
            go_on = std::exchange(call->paused, false);
            if (piece.empty() && call->failure) co_return *call->failure;
            if (piece.empty() && call->ended) co_return piece;
        }
        if (go_on) call->thread->order(Order::kGoOn, call);
        if (!piece.empty()) co_return piece;
        co_await call->changed.wait();
    }
}

}  // namespace hutch::daemon
