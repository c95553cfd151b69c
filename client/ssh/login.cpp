#include "client/ssh/login.h"

#include <libssh/callbacks.h>
#include <libssh/server.h>

#include <algorithm>
#include <optional>

#include "client/api.h"

namespace hutch::client {
namespace {

constexpr int kMostPasswords = 3;
constexpr int kMostRequests = 20;  // of authentication, "none" and those of other methods included
constexpr size_t kShortestKey = 16, kLongestKey = 512;

class Login {
  public:
    Login(ssh_session session, const Endpoint& daemon, const std::function<void()>& on_wrong)
        : session_(session), daemon_(daemon), on_wrong_(on_wrong) {
        ssh_callbacks_init(&callbacks_);
        callbacks_.userdata = this;
        callbacks_.auth_password_function = [](ssh_session, const char* user, const char* password, void* self) -> int {
            return static_cast<Login*>(self)->try_password(user, password) ? SSH_AUTH_SUCCESS : SSH_AUTH_DENIED;
        };
        ssh_set_server_callbacks(session_, &callbacks_);
        ssh_set_message_callback(
            session_,
            [](ssh_session, ssh_message message, void* self) { return static_cast<Login*>(self)->answer(message); },
            this);
    }
    Login(const Login&) = delete;
    Login& operator=(const Login&) = delete;
    ~Login() {
        ssh_set_message_callback(session_, nullptr, nullptr);
        ssh_set_server_callbacks(session_, nullptr);
    }

    Result<Guest> run(ssh_event event) {
        ssh_set_auth_methods(session_, SSH_AUTH_METHOD_PASSWORD | SSH_AUTH_METHOD_INTERACTIVE);
        if (ssh_handle_key_exchange(session_) != SSH_OK) return ended("ended before it had shown a key");
        if (ssh_event_add_session(event, session_) != SSH_OK) return ended("cannot be watched");
        while (!guest_) {
            if (ssh_event_dopoll(event, -1) == SSH_ERROR) return ended("ended before it had shown a key");
            if (!guest_ && (wrong_ >= kMostPasswords || requests_ > kMostRequests)) {
                ssh_disconnect(session_);
                return ended("has shown no key that is right for its box");
            }
        }
        return *std::move(guest_);
    }

  private:
    static Error ended(const std::string& how) { return Error{ErrorKind::kUnauthorized, 0, "the connection " + how}; }

    bool try_password(const char* user, const char* password) {
        ++requests_;
        if (guest_ || wrong_ >= kMostPasswords || user == nullptr || password == nullptr) return false;
        guest_ = ask_daemon(user, password);
        if (guest_) return true;
        ++wrong_;
        on_wrong_();
        return false;
    }

    std::optional<Guest> ask_daemon(const std::string& user, const std::string& password) const {
        if (user.empty() || !may_be_key(password)) return std::nullopt;
        Guest guest{daemon_, "", user};
        guest.endpoint.api_key = password;
        const auto box = Api(guest.endpoint).get(box_target(user));
        if (!box.ok()) return std::nullopt;
        guest.box = text_of(box.value(), "id");
        if (guest.box.empty()) return std::nullopt;  // some other call of the API
        return guest;
    }

    // 0: answered. 1: libssh refuses it, or accepts a service, by itself.
    int answer(ssh_message message) {
        if (ssh_message_type(message) != SSH_REQUEST_AUTH) return 1;
        if (ssh_message_subtype(message) != SSH_AUTH_METHOD_INTERACTIVE) {
            ++requests_;
            return 1;
        }
        if (ssh_message_auth_kbdint_is_response(message) == 0) return ask_guest(message);
        const char* answered =
            ssh_userauth_kbdint_getnanswers(session_) == 1 ? ssh_userauth_kbdint_getanswer(session_, 0) : nullptr;
        if (!try_password(asked_.c_str(), answered)) return 1;
        ssh_message_auth_reply_success(message, 0);
        return 0;
    }

    int ask_guest(ssh_message message) {
        const char* user = ssh_message_auth_user(message);
        asked_ = user == nullptr ? "" : user;
        if (++requests_ > kMostRequests) return 1;
        const char* prompts[] = {"Password (an API key): "};
        char echo[] = {0};
        ssh_message_auth_interactive_request(message, "", "", 1, prompts, echo);
        return 0;
    }

    ssh_session session_;
    const Endpoint& daemon_;
    const std::function<void()>& on_wrong_;
    ssh_server_callbacks_struct callbacks_{};
    std::optional<Guest> guest_;
    std::string asked_;  ///< who is asked for a key
    int wrong_ = 0;
    int requests_ = 0;
};

}  // namespace

bool may_be_key(const std::string& password) {
    const auto is_letter = [](char c) { return c > ' ' && c <= '~'; };
    return password.size() >= kShortestKey && password.size() <= kLongestKey &&
           std::all_of(password.begin(), password.end(), is_letter);
}

Result<Guest> log_in(ssh_session session, ssh_event event, const Endpoint& daemon,
                     const std::function<void()>& on_wrong) {
    return Login(session, daemon, on_wrong).run(event);
}

}  // namespace hutch::client
