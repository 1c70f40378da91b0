"""Sends each case with the client library that it names, as an integrator would use it.

Standard input: {"base": "http://127.0.0.1:PORT", "cases": [{"name", "client", "method", "target", "body", "key", "secret"}]}.
Standard output: a line of JSON for each case, with the status that the library saw, or what it raised.
"""

import json
import sys
import time
import traceback
import urllib.request
from datetime import datetime, timezone
from urllib.parse import urlsplit

import botocore.config
import botocore.session
import duo_client.client
import httphmac
import krakenex
import mohawk
import pusher
import requests
import stripe
from akamai.edgegrid import EdgeGridAuth
from aws_requests_auth.aws_auth import AWSRequestsAuth
from escherauth.escherauth import EscherRequestsAuth
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver
from httpsig_pure_hmac.requests_auth import HTTPSignatureAuth as CavageAuth
from kong_hmac import HmacAuth
from requests_aws4auth import AWS4Auth
from requests_hawk import HawkAuth
from requests_http_signature import HTTPSignatureAuth, algorithms
from requests_oauthlib import OAuth1
from slack_sdk.signature import SignatureVerifier
from standardwebhooks import Webhook
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SESSION = requests.Session()
# Neither a proxy nor .netrc of this machine.
SESSION.trust_env = False


class Case:
    def __init__(self, base, case):
        self.__dict__.update(case)
        self.base = base
        self.host = urlsplit(base).netloc
        self.port = urlsplit(base).port
        self.url = base + self.target
        self.path = urlsplit(self.url).path

    def send(self, headers=None, auth=None):
        """Sends the case with requests."""
        headers = {**(JSON if self.body else {}), **(headers or {})}
        return SESSION.request(self.method, self.url, data=self.body.encode() or None, headers=headers, auth=auth).status_code


# AWS


def botocore_client(case, service, endpoint, **settings):
    session = botocore.session.Session()
    session.set_credentials(case.key, case.secret)
    config = botocore.config.Config(retries={"total_max_attempts": 1}, proxies={}, **settings)
    return session.create_client(service, region_name="eu-central-1", endpoint_url=endpoint, config=config)


def botocore_dynamodb(case):
    client = botocore_client(case, "dynamodb", case.url)
    answer = client.put_item(TableName="orders", Item={"id": {"S": "Zoë"}})
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def botocore_api_gateway(case):
    client = botocore_client(case, "apigateway", case.base + "/py/botocore-rest")
    return client.get_api_keys(nameQuery="a b&c", limit=5)["ResponseMetadata"]["HTTPStatusCode"]


def botocore_presigned(case):
    client = botocore_client(case, "sts", case.url)
    return fetch(client.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET"))


def s3(case):
    return botocore_client(case, "s3", case.base, s3={"addressing_style": "path"}, signature_version="s3v4")


def botocore_s3_put(case):
    answer = s3(case).put_object(Bucket="py-bucket", Key="a note (1).txt", Body=case.body.encode(), ContentType="text/plain")
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def botocore_s3_get(case):
    answer = s3(case).get_object(Bucket="py-bucket", Key="a note (1).txt", VersionId="v/1+2")
    answer["Body"].read()
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def botocore_s3_presigned(case):
    return fetch(s3(case).generate_presigned_url("get_object", Params={"Bucket": "py-bucket", "Key": "shared"}, ExpiresIn=600))


def fetch(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        return answer.status


def requests_aws4auth(case):
    return case.send(auth=AWS4Auth(case.key, case.secret, "eu-central-1", "execute-api"))


def aws_requests_auth(case):
    auth = AWSRequestsAuth(case.key, case.secret, aws_host=case.host, aws_region="eu-central-1", aws_service="es")
    return case.send(auth=auth)


# HTTP Message Signatures and their drafts


def requests_http_signature(case):
    covered = ("@method", "@authority", "@target-uri") + (("content-type",) if case.body else ())
    auth = HTTPSignatureAuth(
        signature_algorithm=algorithms.HMAC_SHA256,
        key=case.secret.encode(),
        key_id=case.key,
        use_nonce=True,
        covered_component_ids=covered,
    )
    return case.send(auth=auth)


def http_message_signatures(case):
    class Keys(HTTPSignatureKeyResolver):
        def resolve_private_key(self, key_id):
            return case.secret.encode()

        def resolve_public_key(self, key_id):
            raise KeyError(key_id)

    signer = HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Keys())
    request = SESSION.prepare_request(requests.Request(case.method, case.url, data=case.body.encode(), headers=JSON))
    components = ("@method", "@authority", "@path", "@query", "content-type")
    signer.sign(request, key_id=case.key, covered_component_ids=components, body=case.body.encode())
    return SESSION.send(request).status_code


def httpsig_pure_hmac(case):
    date = {"Date": datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")}
    return case.send(date, CavageAuth(case.key, case.secret, "hmac-sha256", ["(request-target)", "host", "date"]))


def kong_hmac(case):
    return case.send(HmacAuth(case.key, case.secret).get_auth_headers(body=case.body))


# Hawk, OAuth and others of their kind


def hawk_sender(case):
    credentials = {"id": case.key, "key": case.secret, "algorithm": "sha256"}
    kind = "application/json" if case.body else ""
    sender = mohawk.Sender(credentials, case.url, case.method, content=case.body, content_type=kind, ext="some-app-data")
    return case.send({"Authorization": sender.request_header})


def requests_hawk(case):
    return case.send(auth=HawkAuth(id=case.key, key=case.secret, always_hash_content=bool(case.body)))


def requests_oauthlib(case):
    token = json.loads(case.secret)
    auth = OAuth1(case.key, token["secret"], token["token"], token["token_secret"])
    return case.send(FORM if case.body else None, auth)


def requests_oauthlib_sha256(case):
    return case.send(auth=OAuth1(case.key, case.secret, signature_method="HMAC-SHA256"))


def edgegrid(case):
    return case.send(auth=EdgeGridAuth(case.key, case.secret, "akab-access-token"))


def escherauth(case):
    return case.send(auth=EscherRequestsAuth(case.key, case.secret, "eu/orders/ems_request"))


def http_hmac(case):
    request = httphmac.request.Request().with_method(case.method).with_url(case.url).with_time()
    if case.body:
        request.with_json_body(case.body)
    fields = {"id": case.key, "nonce": "d1954337-5319-4821-8427-115542e08d10", "realm": "Pipet service", "version": "2.0"}
    return httphmac.v2.V2Signer().sign_direct(request, fields, case.secret).do().status_code


def tencentcloud(case):
    http = HttpProfile(protocol="http", endpoint=case.host, reqMethod=case.method)
    client = CommonClient("cvm", "2017-03-12", Credential(case.key, case.secret), "ap-shanghai", ClientProfile(httpProfile=http))
    client.call_json("DescribeZones", {"Name": "a b"})
    return 200


def pusher_trigger(case):
    client = pusher.Pusher(app_id="3", key=case.key, secret=case.secret, ssl=False, host="127.0.0.1", port=case.port)
    client.trigger("orders", "paid", {"amount": 10})
    return 200


def krakenex_api(case):
    api = krakenex.API(case.key, case.secret)
    api.uri = case.base
    api.session.trust_env = False
    api.query_private("Balance", {"asset": "XBT"})
    return api.response.status_code


def duo_v2(case):
    return duo(case, 2, {"username": ["a b"], "limit": ["5"]}, None, FORM)


def duo_v5(case):
    return duo(case, 5, {}, case.body, JSON)


def duo(case, version, params, body, kind):
    """With the function that its client signs with: the client itself leaves the port out of what it signs."""
    date = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S -0000")
    host, sign = case.host, duo_client.client.sign
    signed = sign(case.key, case.secret, case.method, host, case.path, date, version, duo_client.client.normalize_params(params), body=body)
    return case.send({**kind, "Date": date, "Authorization": signed})


# Webhooks: the functions that their libraries have for senders and for tests


def standardwebhooks_sign(case):
    now = datetime.now(timezone.utc)
    signature = Webhook(case.secret).sign("msg_py_1", now, case.body)
    stamp = str(int(now.timestamp()))
    return case.send({"webhook-id": "msg_py_1", "webhook-timestamp": stamp, "webhook-signature": signature})


def stripe_webhook(case):
    header = stripe.WebhookSignature.generate_signature_header(case.body, case.secret)
    return case.send({"Stripe-Signature": header})


def slack(case):
    stamp = str(int(time.time()))
    signature = SignatureVerifier(case.secret).generate_signature(timestamp=stamp, body=case.body)
    return case.send({**FORM, "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature})


def main():
    given = json.load(sys.stdin)
    for case in given["cases"]:
        said = {"name": case["name"]}
        try:
            said["status"] = globals()[case["client"]](Case(given["base"], case))
        except Exception:
            said["raised"] = traceback.format_exc()
        print(json.dumps(said), flush=True)


main()
