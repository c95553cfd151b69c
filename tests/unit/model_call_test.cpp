#include "daemon/api/model_call.h"

#include <gtest/gtest.h>

namespace hutch::daemon {
namespace {

// Whole, and a byte at a time.
std::string refused(const std::string& body) {
    BackgroundScan whole;
    whole.feed(body);
    BackgroundScan bytes;
    for (const char c : body) bytes.feed({&c, 1});
    EXPECT_EQ(whole.refusal(), bytes.refusal()) << body;
    return whole.refusal().value_or("");
}

TEST(ModelCall, AnswersInTheBackgroundAreRefusedHoweverTheyAreWritten) {
    for (const char* body :
         {R"({"background":true})", R"({"model":"m" , "background" : true})", R"({"background":1})",
          R"({"\u0062ackground":true})", R"({"b\u0061ckgroun\u0064":"true"})",
          R"({"input":[{"a":"}"}],"background":true})", R"({"background":false,"background":true})",
          R"({"input":"\"","background":true})", R"({"background":{}})", R"({"a":"\\","background":true})"}) {
        EXPECT_NE(refused(body).find("background:"), std::string::npos) << body;
    }
}

TEST(ModelCall, OtherBodiesAreNot) {
    for (const char* body :
         {R"({"background":false})", R"({"background": null})", R"({})", R"({"input":"background\":true"})",
          R"({"input":{"background":true}})", R"({"input":["background",true]})", R"({"backgrounds":true})",
          R"({"back\u0000ground":true})", R"({"a":"background","b":true})", R"({"background\u0100":true})",
          R"({"input":"\"background\":true"})"}) {
        EXPECT_EQ(refused(body), "") << body;
    }
}

TEST(ModelCall, ABodyThatCouldBeReadInAnotherWayIsRefused) {
    for (const std::string& body :
         {std::string("[]"), std::string("\xEF\xBB\xBF{}"), std::string("{\0}\0", 4), std::string("x")}) {
        if (body[0] == '{') continue;
        EXPECT_NE(refused(body), "") << body;
    }
    const std::string utf16("\0{\0\"", 4);
    EXPECT_NE(refused(utf16), "");
}

TEST(ModelCall, OnlyCallsThatAreAnsweredAtOnce) {
    for (const char* path : {"/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/v1/chat/completions"}) {
        EXPECT_TRUE(is_model_call("POST", path)) << path;
        EXPECT_FALSE(is_model_call("DELETE", path)) << path;
    }
    for (const char* path : {"/v1/messages/batches", "/v1/messages/batches/b/cancel", "/v1/batches", "/v1/responses/r",
                             "/v1/responses/r/cancel", "/v1/chat/completions/c", "/v1/files", "/v1/messages/"}) {
        EXPECT_FALSE(is_model_call("POST", path)) << path;
        EXPECT_FALSE(is_model_call("GET", path)) << path;
    }
    EXPECT_TRUE(is_model_call("GET", "/v1/models/claude-x"));
    EXPECT_FALSE(is_model_call("GET", "/v1/models/../files"));
}

TEST(ModelCall, WhoPaysIsNotTheBoxsToSay) {
    for (const char* name :
         {"openai-organization", "openai-project", "anthropic-organization-id", "anthropic-workspace-id",
          "x-goog-user-project", "x-goog-api-key", "api-key", "authorization", "x-api-key", "cookie", "x-forwarded-for",
          "content-encoding", "helicone-auth", "x-litellm-api-key"}) {
        EXPECT_FALSE(is_told_to_provider(name)) << name;
    }
    for (const char* name :
         {"anthropic-version", "anthropic-beta", "content-type", "user-agent", "x-stainless-os", "openai-beta"}) {
        EXPECT_TRUE(is_told_to_provider(name)) << name;
    }
}

}  // namespace
}  // namespace hutch::daemon
