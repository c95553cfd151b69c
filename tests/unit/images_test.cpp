#include <gtest/gtest.h>

#include "daemon/api/router.h"
#include "daemon/images/images.h"
#include "daemon/wire/docker_archive.h"
#include "daemon/wire/passwd.h"

namespace hutch::daemon {
namespace {

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/sh\nnode:x:1001:1002::/home/node:/bin/sh\nhomeless:x:5:6\n77:x:78:78::/seven:\n"
    "far:x:70000:0::/:\n";
constexpr const char* kGroup = "root:x:0:\nweb:x:33:node\nfar:x:70000:\n";

std::string account_of(const char* who) {
    const auto found = find_account(who, kPasswd, kGroup);
    if (!found.ok()) return found.error().message;
    return found.value().name + " " + std::to_string(found.value().uid) + ":" + std::to_string(found.value().gid) +
           " " + found.value().home;
}

TEST(FindAccount, KnowsNamesIdsAndGroups) {
    EXPECT_EQ(account_of(""), "root 0:0 /root");
    EXPECT_EQ(account_of("node"), "node 1001:1002 /home/node");
    EXPECT_EQ(account_of("1001"), "node 1001:1002 /home/node");
    EXPECT_EQ(account_of("node:web"), "node 1001:33 /home/node");
    EXPECT_EQ(account_of("node:44"), "node 1001:44 /home/node");
    EXPECT_EQ(account_of("1234"), "1234 1234:0 /");
    EXPECT_EQ(account_of("1234:web"), "1234 1234:33 /");
    EXPECT_EQ(account_of("homeless"), "homeless 5:6 /");
    EXPECT_EQ(account_of("77"), "77 78:78 /seven") << "a name of digits is a name";
}

TEST(FindAccount, KnowsRootWhereThereAreNoFiles) {
    EXPECT_EQ(find_account("", "", "").value().home, "/root");
    EXPECT_EQ(find_account("root", "", "").value().uid, 0U);
    EXPECT_EQ(find_account("0:0", "", "").value().uid, 0U);
}

TEST(FindAccount, RefusesWhoIsNobody) {
    for (const char* who :
         {"nobody", "-1", "1x", "node:none", "65536", "far", "node:far", ":none", "99999999999999999999"})
        EXPECT_FALSE(find_account(who, kPasswd, kGroup).ok()) << who;
}

TEST(ImageNames, AreWordsOrReferences) {
    for (const char* name : {"node", "node:20", "library/node:20", "registry.example:5000/team/app:1.2",
                             "a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "A-b_c.d"})
        EXPECT_TRUE(check_image_name("name", name).ok()) << name;
    for (const char* name :
         {"", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", "-a", ":a", "a b", "a\n", "a?b", "a%2Fb"})
        EXPECT_FALSE(check_image_name("name", name).ok()) << name;
    EXPECT_FALSE(check_image_name("name", std::string(256, 'a')).ok());
}

TEST(RouterNames, MayBeOfSeveralSegments) {
    Router router;
    const Handler nothing;
    router.add("GET", "/v2/images", nothing);
    router.add("GET", "/v2/images/{name...}", nothing);
    router.add("POST", "/v2/images/load", nothing);
    router.add("POST", "/v2/images/{name...}/build", nothing);
    router.add("GET", "/v2/box/{id}", nothing);
    EXPECT_EQ(router.match("GET", "/v2/images/a").params.at("name"), "a");
    EXPECT_EQ(router.match("GET", "/v2/images/a/b:1/c").params.at("name"), "a/b:1/c");
    EXPECT_EQ(router.match("POST", "/v2/images/a/b/build").params.at("name"), "a/b");
    EXPECT_EQ(router.match("GET", "/v2/images/a/build").params.at("name"), "a/build");
    EXPECT_TRUE(router.match("POST", "/v2/images/load").params.empty());
    EXPECT_EQ(router.match("GET", "/v2/images").status, 200);
    EXPECT_EQ(router.match("POST", "/v2/images/a/b").status, 405);
    EXPECT_EQ(router.match("GET", "/v2/box/a/b").status, 404);
    EXPECT_EQ(router.routes()[1], "GET /v2/images/{name}");
}

TEST(DockerImages, AreReadBounded) {
    const auto images = parse_docker_images(
        R"([{"Config":"c.json","RepoTags":["node:20","node:latest"],"Layers":["a/layer.tar"]},{"Config":"d","RepoTags":null}])");
    ASSERT_TRUE(images.ok()) << images.error().message;
    ASSERT_EQ(images.value().size(), 2U);
    EXPECT_EQ(images.value()[0].tags.size(), 2U);
    EXPECT_EQ(images.value()[0].layers, std::vector<std::string>{"a/layer.tar"});
    EXPECT_TRUE(images.value()[1].tags.empty());
    for (const char* text : {"", "{}", "[1]", "[{}]", R"([{"Config":"c","Layers":[1]}])", R"([{"Config":7}])"})
        EXPECT_FALSE(parse_docker_images(text).ok()) << text;
}

}  // namespace
}  // namespace hutch::daemon
