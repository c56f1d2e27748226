-- Orders of lists that wait for another one to be filled: no book has seen them, and of some none ever will.
-- Written by the account actors; what the books tell of an order, once they have it, goes before.

CREATE TABLE pending_orders (LIKE orders INCLUDING ALL);

CREATE VIEW all_orders AS
SELECT * FROM orders
UNION ALL
SELECT * FROM pending_orders AS waiting
WHERE NOT EXISTS (SELECT FROM orders WHERE orders.order_id = waiting.order_id);
