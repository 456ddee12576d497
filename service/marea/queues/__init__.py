"""The broker ports and their adapters.

`publisher.py` and `broker.py` have the ports and `message.py` the bytes on the wire;
`celery.py` the Celery application, `celery_publisher.py` the publisher on it, `redis.py` and
`rabbitmq*.py` what differs between the brokers, `memory.py` the double that passes the same
contract suite. To add one more broker: give it a `Broker` and, if kombu's way of publishing
does not confirm there, a line like `RabbitLine`.
"""
