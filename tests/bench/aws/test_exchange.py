"""A stage on AWS: the password of the cache goes to functions with the call, not with the arguments."""

import json
import pickle

import boto3

from bench import stage
from bench.engines import Sessions
from infra.aws.kept_secret import cache_secret
from plan.outputs import CacheOutputs, Outputs
from tasks.exchange import REDIS_PASSWORD
from tasks.objects import Access


def test_arguments_of_functions_hold_no_password(outputs: Outputs) -> None:
    secret = cache_secret()
    password = json.loads(secret)["password"]
    name = boto3.client("secretsmanager").create_secret(Name="breakeven/cache", SecretString=secret)["Name"]
    cache = CacheOutputs(host="10.42.0.7", port=6379, tls=True, secret_at=name)
    with Sessions(outputs.model_copy(update={"cache": cache}), Access(region=outputs.region), {}) as sessions:
        exchange = stage.exchange_of(sessions, "redis")
    assert exchange.redis is not None
    assert exchange.redis.password == password, "workers of the cluster are told directly"
    arguments, environment = exchange.for_functions()
    assert environment == {REDIS_PASSWORD: password}
    assert password.encode() not in pickle.dumps(arguments)
    assert arguments.redis is not None
    assert arguments.redis.ca == json.loads(secret)["ca"]
